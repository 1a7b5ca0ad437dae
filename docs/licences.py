"""Writes docs/licences.md from the environment's own metadata: `make licences`, after the locks have changed."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "licences.md"
HEAD = """# Licences

What the packages of `requirements.lock` say of themselves, those that serving needs (`requirements-serve.lock`) in
**bold**; written by `make licences` on Linux, where Windows' own few are not installed. cnnClassifier itself is MIT
(`LICENSE`). Nothing is bundled but the released model: packages are installed beside it, each under its own terms. With
a container image, though, you hand them on.

To know of: `grandalf` (draws `dvc dag`) is GPL-2, `pygit2` (git for DVC) GPL-2 with an exception for what links
it, `asyncssh` and `dulwich` (DVC's remotes) leave a choice that is not the GPL. All four come with DVC, for training
alone; the serving environment has none of them. UNKNOWN is what a package says nothing of in its metadata.

"""


def packages_of(lock: Path) -> set[str]:
    """Names of a lock's packages, as the lock writes them."""
    return set(re.findall(r"^([a-z0-9][\w.-]*)==", lock.read_text(encoding="utf-8"), flags=re.MULTILINE))


def main() -> None:
    """Ask pip-licenses, and mark what serving needs."""
    serving, all_of_them = (packages_of(ROOT / name) for name in ("requirements-serve.lock", "requirements.lock"))
    table = subprocess.run(
        [Path(sys.executable).with_name("pip-licenses"), "--python", sys.executable, "--from", "mixed", "--no-version",
         "--with-system", "--format", "csv", "--packages", *sorted(all_of_them)],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    found = re.findall(r'^"([^"]+)","([^"]*)"', table, re.MULTILINE)[1:]
    rows = sorted((normal(name), licence) for name, licence in found)
    lines = [f"| {f'**{name}**' if name in serving else name} | {licence} |" for name, licence in rows]
    PAGE.write_text(HEAD + "\n".join(["| package | licence |", "|---|---|", *lines]) + "\n", encoding="utf-8")


def normal(name: str) -> str:
    """A package's name as locks write it."""
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    main()
