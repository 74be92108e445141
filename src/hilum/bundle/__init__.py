"""Bundle: the folder that carries a trained reader; pack it, check it, load it."""
