"""Sizes that the interfaces of the gallery take, where nothing else is set."""

MESSAGE_BYTES = 8 * 1024 * 1024
"""Longest gRPC message with images, unless the operator sets another."""
SMALL_BYTES = 512 * 1024
"""Longest gRPC message without images: two documents of a policy."""
