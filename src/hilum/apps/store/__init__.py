"""The store: films on disk, everything that is said of them in a database."""
