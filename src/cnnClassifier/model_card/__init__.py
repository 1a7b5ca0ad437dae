"""The model card: what a model is for, what it learned from, and how far it can be believed."""
