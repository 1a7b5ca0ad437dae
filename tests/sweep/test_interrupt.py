"""A Ctrl+C that cannot be raised where it comes is remembered, and nobody sees a traceback of it."""

import signal
import sys

import pytest

from cnnClassifier.sweep.interrupt import remembered_interrupts


@pytest.fixture(autouse=True)
def as_at_a_terminal():
    """A shell's background jobs ignore Ctrl+C, and so would these tests in one."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Pressing:
    """Ctrl+C comes while Python clears this away: an exception raised there goes nowhere."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


class Failing:
    def __del__(self) -> None:
        raise ValueError("not an interrupt")


def test_an_interrupt_is_raised_at_once_and_remembered():
    with remembered_interrupts() as pressed:
        assert not pressed.is_set()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert pressed.is_set()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_one_that_meets_python_clearing_an_object_away_is_remembered_without_a_traceback(capsys, monkeypatch):
    monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)  # pytest's own would make it a warning
    with remembered_interrupts() as pressed:
        Pressing()
        assert pressed.is_set()
    assert capsys.readouterr().err == ""


def test_other_exceptions_there_are_still_shown(capsys, monkeypatch):
    monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)
    with remembered_interrupts() as pressed:
        Failing()
        assert not pressed.is_set()
    assert "not an interrupt" in capsys.readouterr().err
