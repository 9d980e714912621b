"""Networks that others trained, brought in as ONNX: graph, preprocessing, codes, bundle."""
