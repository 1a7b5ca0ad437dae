"""The commands of README.md, CONTRIBUTING.md and docs/: where they stand, and whether they are to be run."""

import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from imports import ROOT

EXECUTED = "<!-- executed -->"
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
INLINE = re.compile(r"`((?:\.venv/bin/)?(?:python main\.py|make|cnnclassifier)(?: [^`]+)?)`")
PLACEHOLDER = re.compile(r"<[^<>]*>")
SETTING = re.compile(r"^[A-Z_]+=")
PYTHON = ("python", ".venv/bin/python")

# Each is held against what it names: the parser of the command line or of DVC, a target of the Makefile, a file.
PARSED = ("cnnclassifier", "make", "docker", "dvc", "kubectl", "pip", "pytest", *PYTHON)
# No parser here reads them. In blocks they are run as all others are, or listed with a reason (test_running.py).
OTHERS = ("curl", "dagshub", "git", "mlflow", "pre-commit", "python3.11", "ray", "spark-submit", "uv")
SHELL = ("cat", "cd", "cp", "export", "mkdir", "rm")
# First words of output that are also programs.
NO_COMMANDS = ("test", "file")


@dataclass(frozen=True)
class Block:
    """An indented block of code: its lines without the indent, and whether the page says that a test runs it."""

    page: Path
    line: int
    text: str
    executed: bool


@dataclass(frozen=True)
class Command:
    """One command as its words; a mention in the running text may leave out what it is not about."""

    place: str
    words: tuple[str, ...]
    mention: bool = False

    def __str__(self) -> str:
        return f"{self.place}: {' '.join(self.words)}"


def blocks_of(page: Path) -> list[Block]:
    """The page's indented blocks in their order; blank lines inside one belong to it."""
    lines = page.read_text(encoding="utf-8").splitlines()
    blocks: list[Block] = []
    executed, start, held = False, 0, []
    for number, line in enumerate([*lines, "."], start=1):
        if line.startswith("    ") and (held or not lines[number - 2].strip()):
            start, held = (start if held else number), [*held, line[4:]]
        elif held and not line.strip():
            held.append("")
        else:
            if held:
                blocks.append(Block(page, start, "\n".join(held).rstrip() + "\n", executed))
                executed = False
            held = []
            executed = executed or line == EXECUTED
    return blocks


def typed(block: Block) -> Iterator[str]:
    """The block's lines that begin with a program, as a person would type them."""
    for line in block.text.replace("\\\n", " ").splitlines():
        words = [word for word in line.split("#")[0].split() if not SETTING.match(word)]
        if words and words[0] in (*PARSED, *OTHERS):
            yield line.split("  #")[0].strip()


def commands_of(page: Path) -> Iterator[Command]:
    """What a person would type: lines of blocks that begin with a program, and commands in the running text."""
    for block in blocks_of(page):
        for line in block.text.replace("\\\n", " ").splitlines():
            yield from _commands(line, f"{page.name}:{block.line}")
    prose = "\n".join(line for line in page.read_text(encoding="utf-8").splitlines() if not line.startswith("    "))
    for found in INLINE.finditer(prose):
        yield from _commands(found[1].replace("\n", " "), page.name, mention=True)


def lines_of(page: Path, program: str) -> Iterator[str]:
    """Lines of blocks, and mentions in the running text, that begin with a program, as they stand there."""
    for block in blocks_of(page):
        yield from (line for line in block.text.splitlines() if line.startswith(f"{program} "))
    yield from re.findall(rf"`({program} [^`]+)`", page.read_text(encoding="utf-8"))


def unknown_programs(page: Path) -> set[str]:
    """First words of lines in blocks that are programs of this machine and in none of the lists above."""
    known = {*PARSED, *OTHERS, *SHELL, *NO_COMMANDS}
    words = {
        match[0]
        for block in blocks_of(page)
        for line in block.text.splitlines()
        if (match := re.match(r"[a-z][\w.-]+(?= )", line))
    }
    return {word for word in words - known if shutil.which(word)}


def _commands(line: str, place: str, mention: bool = False) -> Iterator[Command]:
    try:
        words = shlex.split(PLACEHOLDER.sub("1", line), comments=True)
    except ValueError:  # an apostrophe: prose or output
        return
    for part in _split(words):
        while part and SETTING.match(part[0]):
            part = part[1:]
        if part and part[0] in (*PARSED, *OTHERS):
            yield Command(place, tuple(part), mention)


def _split(words: list[str]) -> Iterator[list[str]]:
    part: list[str] = []
    for word in words:
        if word in ("&&", "||", ";", "&", "|"):
            yield part
            part = []
        else:
            part.append(word)
    yield part
