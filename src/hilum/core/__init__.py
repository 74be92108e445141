"""Core: names, errors and the few objects that every room shares."""
