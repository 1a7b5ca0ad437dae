"""How good are predictions, and how sure is that: metrics with intervals, and their plots."""
