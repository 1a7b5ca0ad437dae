"""Every command in the documentation is one that there is: parsed by the program that it starts, here and now."""

import itertools
import re
import tomllib

import pytest
import typer.main
from commands import PAGES, PARSED, PYTHON, Command, commands_of, unknown_programs
from dvc.cli import DvcParserError, parse_args

from cnnClassifier.cli import app
from imports import ROOT

COMMANDS = [command for page in PAGES for command in commands_of(page) if command.words[0] in PARSED]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = set(PROJECT["tool"]["setuptools"]["dynamic"]["optional-dependencies"])
TARGETS = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))


def parse(arguments: list[str]) -> None:
    """Have the command line read its arguments, and run nothing."""
    group = typer.main.get_command(app)
    context = group.make_context("main.py", arguments)
    rest = [*getattr(context, "_protected_args", []), *context.args]
    if rest:
        name, command, rest = group.resolve_command(context, rest)
        command.make_context(name, rest, parent=context)


def fault_of(command: Command) -> str | None:
    """What its own program has against a command."""
    program, *arguments = command.words
    if program == "make":
        missing = {word for word in arguments if "=" not in word} - TARGETS
        return f"no target {missing}" if missing else None
    if program == "pytest":
        return missing_file([word for word in arguments if word.startswith("tests")])
    if program in PYTHON and arguments[:1] != ["main.py"]:
        return missing_file([word for word in arguments[:1] if word.endswith(".py")])
    if program == "dvc":
        return fault_by_dvc(arguments)
    if program == "docker":
        return fault_by_dockerfile(arguments)
    if program == "kubectl":
        return missing_file([f"{arguments[arguments.index('-k') + 1]}/kustomization.yaml"])
    if program == "pip":
        return fault_by_extras(arguments)
    return fault_by_command_line(arguments[program in PYTHON :], command.mention)


def fault_by_dockerfile(arguments: list[str]) -> str | None:
    options = dict(itertools.pairwise(arguments))
    file, stage = options.get("-f", "Dockerfile"), options.get("--target")
    if fault := missing_file([file]):
        return fault
    return f"no stage {stage}" if stage and f" AS {stage}\n" not in (ROOT / file).read_text() else None


def fault_by_extras(arguments: list[str]) -> str | None:
    unknown = set(re.findall(r"\[(\w+)\]", " ".join(arguments))) - EXTRAS
    return f"no extra {unknown}" if unknown else None


def missing_file(names: list[str]) -> str | None:
    gone = [name for name in names if not (ROOT / name).exists()]
    return f"no file {gone}" if gone else None


def fault_by_dvc(arguments: list[str]) -> str | None:
    try:
        parse_args(arguments)
    except DvcParserError:
        return "DVC does not know this"
    return None


def fault_by_command_line(arguments: list[str], mention: bool) -> str | None:
    try:
        parse(arguments)
    except Exception as error:
        if type(error).__name__ == "Exit" or (mention and type(error).__name__ == "MissingParameter"):
            return None  # --help; or named without its arguments
        if type(error).__module__.startswith(("click", "typer")):
            return str(getattr(error, "message", error))
        raise
    return None


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_a_command_is_one_that_there_is(command):
    assert fault_of(command) is None


def test_there_are_commands_to_check():
    assert len(COMMANDS) > 80
    assert len({command.place.partition(":")[0] for command in COMMANDS}) > 15


@pytest.mark.parametrize("line", [
    "python main.py train --epoch 3", "python main.py tran", "make runn", "dvc rebro",
    "docker build -f deploy/lambada/Dockerfile .", "docker build --target trainig .",
    "kubectl apply -k deploy/kube", "pip install .[servant]",
])  # fmt: skip
def test_a_slip_in_one_is_found(line):
    assert fault_of(Command("here", tuple(line.split())))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_program_is_one_that_the_tests_know(page):
    assert not unknown_programs(page)
