"""Many items a batch at a time: nothing is lost, and results come in order whoever is first."""

import time

import pytest

from cnnClassifier import batching
from cnnClassifier.batching import IN_FLIGHT, batches, followed, map_in_threads


def test_batches_hold_at_most_their_size():
    assert list(batches(range(5), 2)) == [[0, 1], [2, 3], [4]]


def test_results_come_in_the_items_order_whoever_is_first():
    def work(item: int) -> int:
        time.sleep(0.02 if item == 0 else 0)
        return item * 2

    items = range(IN_FLIGHT + 10)
    assert list(map_in_threads(work, items, "work", workers=4)) == [item * 2 for item in items]


def test_as_many_items_are_worked_on_at_a_time_as_there_are_cores(monkeypatch):
    monkeypatch.setattr(batching, "usable_cores", lambda: 2)
    busy, most = set(), []

    def work(item: int) -> None:
        busy.add(item)
        most.append(len(busy))
        time.sleep(0.01)
        busy.remove(item)

    list(map_in_threads(work, range(12), "work"))
    assert max(most) == 2


def test_what_goes_wrong_with_an_item_is_raised():
    def fail(item: int) -> int:
        raise ValueError(f"no {item}")

    with pytest.raises(ValueError, match="no 0"):
        list(map_in_threads(fail, range(3), "work"))


def test_without_a_terminal_the_log_says_how_far_it_is(monkeypatch, caplog):
    caplog.set_level("INFO")
    assert list(followed(range(3), "score")) == [0, 1, 2]
    assert not caplog.messages  # it took a moment
    monkeypatch.setattr(batching, "EVERY", 0.0)
    assert list(map_in_threads(str, range(3), "sketch")) == ["0", "1", "2"]
    assert caplog.messages == [f"sketch: {done} of 3 images" for done in (1, 2, 3)]


def test_lines_are_not_more_than_one_in_a_while(monkeypatch, caplog):
    caplog.set_level("INFO")
    monkeypatch.setattr(batching, "EVERY", 0.1)
    assert len([time.sleep(0.01) for _ in followed(range(25), "score")]) == 25
    assert 1 <= len(caplog.messages) <= 3
