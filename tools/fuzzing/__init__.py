"""The parts of tools/fuzz.py: sound films, ways to damage them, one process that reads them."""
