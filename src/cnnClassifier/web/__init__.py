"""The web app: HTTP in, HTTP out, and what lies between: who is let in, uploads' bytes to pictures and answers, and
which models are served, followed in the registry.

How a picture is decoded, a model computed and a registry asked is said by the rest of the package, and called here.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnnClassifier.web.factory import create_app
    from cnnClassifier.web.model_holder import ModelHolder
    from cnnClassifier.web.models import Models

__all__ = ["ModelHolder", "Models", "create_app"]

_HOMES = {"ModelHolder": "model_holder", "Models": "models", "create_app": "factory"}


def __getattr__(name: str) -> Any:
    """Imported when asked for: `predict` uses this package's `model_source`, and needs no Flask for it."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
