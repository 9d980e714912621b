"""Backbones in int8: made from fp32 graphs, and checked for sums that overflow."""
