"""Detect: boxes around opacities, by a detector of the transformers library."""
