from train.evaluation.reused_results import ReusedResults
from train.evaluation.systems import DEFAULT, IDENTITY, ORACLE, REGRESSION, TRANSCRIBED, System, model_system

BEFORE, OURS, AFTER = [System(IDENTITY), System(TRANSCRIBED)], model_system(DEFAULT), System(ORACLE)
REUSED = ReusedResults({("clip", REGRESSION): {}})


def test_the_regressions_results_are_reused_without_its_network() -> None:
    assert REUSED.add_to([*BEFORE, OURS, AFTER]) == [*BEFORE, System(REGRESSION), OURS, AFTER]


def test_no_system_is_added_twice_or_without_results() -> None:
    with_it = [System(IDENTITY), System(REGRESSION), OURS]
    assert REUSED.add_to(with_it) == with_it
    assert ReusedResults().add_to([*BEFORE, OURS, AFTER]) == [*BEFORE, OURS, AFTER]
