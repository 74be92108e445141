"""Maps of what a network used: those that ONNX Runtime alone can make, and how maps are drawn."""
