from train.evaluation.reused_results import Baselines
from train.evaluation.systems import IDENTITY, ORACLE, REGRESSION, TRANSCRIBED, ours

ROWS = [IDENTITY, TRANSCRIBED, ours(4), ORACLE]
TOLD = Baselines({("clip", REGRESSION): {}})


def test_the_regressions_row_is_taken_over_where_its_network_is_not_there() -> None:
    assert TOLD.add_to(ROWS) == [IDENTITY, TRANSCRIBED, REGRESSION, ours(4), ORACLE]


def test_no_row_is_added_that_is_there_or_that_nothing_tells_of() -> None:
    with_it = [IDENTITY, REGRESSION, ours(4)]
    assert TOLD.add_to(with_it) == with_it
    assert Baselines().add_to(ROWS) == ROWS
