import pytest

from cnnClassifier.gate import Champion, decide

CHAMPION = Champion(version=3, score=0.90)


def test_the_first_model_becomes_champion():
    assert decide(0.5, None, margin=0.1, same_data=False).promote


@pytest.mark.parametrize(("challenger", "promote"), [(0.93, True), (0.92, False), (0.90, False), (0.80, False)])
def test_a_champion_falls_only_to_more_than_the_margin(challenger, promote):
    decision = decide(challenger, Champion(3, 0.5 + 0.4), margin=0.025, same_data=True)
    assert decision.promote is promote
    assert f"{challenger:.4f} against 0.9000 of version 3" in decision.reason


def test_equal_scores_leave_the_champion_where_it_is():
    assert not decide(0.9, CHAMPION, margin=0.0, same_data=True).promote


def test_scores_on_other_test_data_are_not_compared():
    decision = decide(1.0, CHAMPION, margin=0.0, same_data=False)
    assert not decision.promote
    assert "champion version 3 was measured on other test data" in decision.reason
    assert "by hand" in decision.reason


def test_a_champion_without_the_metric_is_not_compared():
    decision = decide(1.0, Champion(3, None), margin=0.0, same_data=True)
    assert not decision.promote
    assert "without a record of this metric" in decision.reason


def test_a_score_that_is_no_number_never_wins():
    assert not decide(float("nan"), None, margin=0.0, same_data=True).promote
