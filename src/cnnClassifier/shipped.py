"""What comes with the code: the page, its settings and the released model, in a clone or inside an installed wheel.

In a clone they lie at its root. `setup.py` puts them into the wheel as `cnnClassifier/_shipped`. What the working
folder has under the same name wins, so a folder of one's own with a config/config.yaml is configured by it.
"""

from pathlib import Path

from cnnClassifier.config.loading import PROJECT_FILE, load_project
from cnnClassifier.config.types import ProjectConfig

_IN_WHEEL = Path(__file__).with_name("_shipped")

# Where app.py, templates/, static/, config/ and models/ are.
HOME = _IN_WHEEL if _IN_WHEEL.is_dir() else Path(__file__).parents[2]


def find(path: Path) -> Path:
    """`path` in the working folder, else what was shipped; `path` itself where it is in neither."""
    shipped = HOME / path
    return shipped if shipped.exists() and not path.exists() else path


def load_project_anywhere() -> ProjectConfig:
    """config/config.yaml, with the released model's folder as it is found; raise ConfigError naming file and key."""
    project = load_project(find(PROJECT_FILE))
    if project.serving.released is None:
        return project
    serving = project.serving.model_copy(update={"released": find(project.serving.released)})
    return project.model_copy(update={"serving": serving})
