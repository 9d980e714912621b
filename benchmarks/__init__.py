"""Benchmarks: ours beside a peer, measured in one run and quoted as a ratio."""
