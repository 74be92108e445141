"""Apps: command line today; each parses, calls below, presents."""
