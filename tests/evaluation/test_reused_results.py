from train.evaluation.reused_results import ReusedResults
from train.evaluation.systems import IDENTITY, ORACLE, REGRESSION, TRANSCRIBED, model_name

ROWS = [IDENTITY, TRANSCRIBED, model_name(4), ORACLE]
TOLD = ReusedResults({("clip", REGRESSION): {}})


def test_the_regressions_row_is_taken_over_where_its_network_is_not_there() -> None:
    assert TOLD.add_to(ROWS) == [IDENTITY, TRANSCRIBED, REGRESSION, model_name(4), ORACLE]


def test_no_row_is_added_that_is_there_or_that_nothing_tells_of() -> None:
    with_it = [IDENTITY, REGRESSION, model_name(4)]
    assert TOLD.add_to(with_it) == with_it
    assert ReusedResults().add_to(ROWS) == ROWS
