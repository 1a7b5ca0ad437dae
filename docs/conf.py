"""How Sphinx makes a site of docs/: `make docs`. Nothing is fetched, neither by the build nor by its pages."""

import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path[:0] = [str(DOCS)]

from reference import write_references  # noqa: E402

write_references(DOCS / "reference")

project = "cnnClassifier"
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "results"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "cnnClassifier"
html_copy_source = False
