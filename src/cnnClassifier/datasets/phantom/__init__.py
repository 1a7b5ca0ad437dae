"""A procedural four-class chest CT: drawn from a seed in seconds, synthetic through and through.

For trying the pipeline and for testing what finds faults in data; it says nothing about real patients.
See docs/phantom.md. `dataset` writes a whole one; the web app draws single slices and has no need of that.
"""
