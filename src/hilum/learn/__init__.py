"""Learn: networks, loader, augmentation, fit, export: the only room that knows torch."""
