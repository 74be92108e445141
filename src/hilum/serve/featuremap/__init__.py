"""The feature-space map: films of a table where the network sees them, as one page."""
