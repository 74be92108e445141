"""Serve: read films with a bundle, explain, report; runs on ONNX Runtime alone."""
