"""Scheme kinds in training: network, loss and export of each, in a module of its own."""

from training.schemes import digital, jscc, nested

__all__ = ["digital", "jscc", "nested"]
