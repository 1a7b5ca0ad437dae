"""`--help` in sections, without rich: importing that costs as much as all the rest of the help."""

from typing import Any

from typer.core import TyperGroup

from cnnClassifier.components import STAGES

# Every command once; tests/test_help.py checks it.
SECTIONS: dict[str, tuple[str, ...]] = {
    "Pipeline": ("train", "results", "readme"),
    "Stages of the pipeline (dvc.yaml runs them)": tuple(STAGES),
    "Data": ("audit", "features"),
    "Models": ("sweep", "compare", "ensemble", "robustness", "export", "release"),
    "Use a model": ("predict", "evaluate", "score"),
    "Registry and service": (
        "serve", "drift", "feedback", "promote", "import-model", "backup", "restore", "dagshub",
    ),
}  # fmt: skip


class SectionedGroup(TyperGroup):
    """A command group whose help lists the commands by section."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write a list for each section, all with columns of one width."""
        width = max(map(len, self.list_commands(ctx)))
        for title, names in SECTIONS.items():
            commands = [(name, self.get_command(ctx, name)) for name in names]
            with formatter.section(title):
                limit = formatter.width - width - 4  # an indent and a gap of two spaces each
                rows = [(name.ljust(width), each.get_short_help_str(limit)) for name, each in commands if each]
                formatter.write_dl(rows)
