"""The web app: HTTP in, HTTP out; no pixels, no model code and no registry code here."""

from cnnClassifier.web.factory import create_app
from cnnClassifier.web.model_holder import ModelHolder

__all__ = ["ModelHolder", "create_app"]
