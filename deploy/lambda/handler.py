"""What AWS Lambda calls: `handler.handler`. The model is loaded once, when the container starts."""

import os

from cnnClassifier.config.loading import load_project
from cnnClassifier.serverless import make_function

handler = make_function(os.environ, load_project().serving)
