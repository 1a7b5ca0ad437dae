"""What is noted of answers in use, and whether the images still are what the model learned from."""
