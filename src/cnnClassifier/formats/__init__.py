"""A trained model in the formats of other programs, each checked against the served package before it is given away."""
