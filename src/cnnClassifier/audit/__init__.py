"""What is wrong with a set of images as labelled and split: found, counted, pictured, and kept out of training."""
