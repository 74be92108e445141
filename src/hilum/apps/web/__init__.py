"""The workstation: a reading room in the browser, and the API under it."""
