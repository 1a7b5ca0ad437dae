"""Everything that talks to MLflow or DagsHub, and the only importer of either.

* client       the one import of mlflow, and how its errors become ours
* connection   which server, with which credentials, and whether it answers
* values       pure: settings and results as MLflow's flat, limited parameters and metrics
* stages       which of a stage's files go to the run
* run          one MLflow run for a pipeline's several processes
* packaging    the served package as an MLflow pyfunc
* registry     register, find, alias and download a model
"""
