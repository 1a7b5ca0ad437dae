"""`python main.py ensemble`: several registered models as one, whose probabilities are the mean of theirs.

* members  which models, fetched with their evidence, and whether they fit together
* merging  their ONNX graphs as one: image -> mean of calibrated probabilities
* rules    pure: the mean's metrics and decision rules, from the members' out-of-fold predictions
* describing  what its card and its model.json say of it
* command  all of it, from the members' names to a version in the registry
"""

ENSEMBLE_FILE = "ensemble.json"  # in an ensemble's package, and in no other
