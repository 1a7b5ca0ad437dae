"""The web app: HTTP in, HTTP out; no pixels, no model code and no registry code here."""

from cnnClassifier.web.factory import create_app
from cnnClassifier.web.model_holder import ModelHolder
from cnnClassifier.web.models import Models

__all__ = ["ModelHolder", "Models", "create_app"]
