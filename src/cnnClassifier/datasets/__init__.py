"""Where images come from: sources, the inspection of each file, splits and the manifest."""
