"""Receiver of blocks from many streams: credits, batches, and each block answered once."""
