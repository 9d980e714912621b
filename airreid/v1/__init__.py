"""Messages and stubs of the wire, generated from ``proto/airreid/v1``."""
