"""Nested codes at work: pieces on the air, their combination, and when enough was heard."""
