"""`--help` and `--version`: sections, nothing cut off, nothing heavy imported."""

import subprocess
import sys

import pytest
import typer.main

from cnnClassifier import __version__
from cnnClassifier.cli import STAGE_HELP, app
from cnnClassifier.components import STAGES
from cnnClassifier.formats import kinds
from cnnClassifier.help_sections import SECTIONS
from cnnClassifier.model_commands import Format

COMMANDS = typer.main.get_command(app).commands
IN_80_COLUMNS = {"terminal_width": 80}


@pytest.fixture
def shown(capsys):
    """What a command prints in a window of 80 columns."""

    def ask(*arguments: str) -> str:
        assert not app(arguments, standalone_mode=False, **IN_80_COLUMNS)
        return capsys.readouterr().out

    return ask


def test_every_command_is_in_one_section():
    assert sorted(name for names in SECTIONS.values() for name in names) == sorted(COMMANDS)


def test_help_lists_the_commands_by_section(shown):
    lines = shown("--help").splitlines()
    assert [line.rstrip(":") for line in lines if line.rstrip(":") in SECTIONS] == list(SECTIONS)
    listed = [line.split()[0] for line in lines if line.startswith("  ") and line.split()[0] in COMMANDS]
    assert listed == [name for names in SECTIONS.values() for name in names]


def test_help_cuts_no_description_off(shown):
    listed = shown("--help").partition("Pipeline:")[2]
    assert not [line for line in listed.splitlines() if line.endswith("...") or len(line) > 80]


def test_every_stage_has_a_help_of_its_own_in_order():
    assert list(STAGE_HELP) == list(STAGES)
    assert [text.partition(":")[0] for text in STAGE_HELP.values()] == [f"Stage {n}" for n in range(1, 7)]


@pytest.mark.parametrize("command", COMMANDS)
def test_h_is_help_and_every_option_has_one_that_stands_alone(command, shown):
    assert shown(command, "-h") == shown(command, "--help")
    texts = [parameter.help for parameter in COMMANDS[command].params]
    assert all(text and not text.startswith("...") for text in texts)


def test_version_is_printed_and_nothing_runs(shown):
    assert shown("--version") == f"cnnClassifier {__version__}\n"


def test_help_imports_no_heavy_library_and_no_numpy():
    probe = "import sys; import cnnClassifier.cli; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = set(subprocess.check_output([sys.executable, "-c", probe], text=True).split())
    # NumPy: `score` sets the threads of its OpenBLAS, which is too late once it is loaded.
    assert not loaded & {"tensorflow", "keras", "mlflow", "sklearn", "pandas", "scipy", "matplotlib", "numpy"}


def test_the_formats_of_export_are_those_there_are():
    assert [each.value for each in Format] == [each.value for each in kinds.Format]
