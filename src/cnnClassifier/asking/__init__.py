"""A served model asked from the command line: about any files, and about labelled ones to judge it. No TensorFlow."""
