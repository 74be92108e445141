"""Maps that need gradients or layers: an ONNX file as a torch module, and the methods on it."""
