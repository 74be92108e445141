"""Scores of maps: every method against what people marked, in one table."""
