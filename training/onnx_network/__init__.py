"""ONNX networks of others as torch modules that can be trained, and back."""
