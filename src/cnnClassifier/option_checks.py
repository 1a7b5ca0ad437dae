"""Refuses options that would be ignored."""

from collections.abc import Mapping

import typer

from cnnClassifier.errors import ConfigError


def refuse_together(command: str, what: str, options: Mapping[str, object]) -> None:
    """ConfigError if more than one of these options is given; `what` says why they exclude each other."""
    given = [option for option, value in options.items() if _is_given(value)]
    if len(given) > 1:
        raise ConfigError(f"{command}: {', '.join(given[:-1])} and {given[-1]} are {what}; give one of them")


def refuse_without(option: str, value: object, needed: str, is_there: bool) -> None:
    """ConfigError if an option is given without what it needs."""
    if _is_given(value) and not is_there:
        raise ConfigError(f"{option} has no effect without {needed}; give both or neither")


def not_empty(value: str | None) -> str | None:
    """The callback of an option whose empty value, as of an unset shell variable, would silently mean its default."""
    if value is not None and not value.strip():
        raise typer.BadParameter("the value is empty; give one, or leave the option out")
    return value


def _is_given(value: object) -> bool:
    return value is not None and value is not False
