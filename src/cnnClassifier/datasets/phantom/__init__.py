"""A procedural four-class chest CT: drawn from a seed in seconds, synthetic through and through.

For trying the pipeline and for testing what finds faults in data; it says nothing about real patients.
See docs/phantom.md.
"""

from cnnClassifier.datasets.phantom.dataset import write_phantom

__all__ = ["write_phantom"]
