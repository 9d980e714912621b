"""Export of trained networks to a bundle: ONNX graphs, integer tables, proof of parity."""
