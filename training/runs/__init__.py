"""Folder of a run: checkpoints, cached features, backbones taken from other runs."""
