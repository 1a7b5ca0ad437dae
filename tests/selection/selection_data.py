"""Names that several tests of the comparison use."""

METRIC = "grouped_cv.balanced_accuracy"
