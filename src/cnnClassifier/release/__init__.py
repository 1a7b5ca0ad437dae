"""A finished run made into a model that is kept with the code: models/<name>/."""
