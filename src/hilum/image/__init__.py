"""Image: open a film, preprocess it, measure it."""
