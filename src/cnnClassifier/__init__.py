"""Train, check, register and serve image classifiers for cancer imaging."""

__version__ = "0.1.0"

DISCLAIMER = "Not a medical device; research and education only."
