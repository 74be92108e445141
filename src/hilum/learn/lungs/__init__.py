"""The network that finds the lungs: its recipe, its training and its export."""
