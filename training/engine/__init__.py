"""The machine room of training: steps, checkpoints, precision, processes."""
