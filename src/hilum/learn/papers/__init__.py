"""Papers: the experiments of the two founding papers, and what they look like when asked again."""
