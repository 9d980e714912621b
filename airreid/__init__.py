"""AirReID: find a person again over a radio link. What both ends must agree on."""

__version__ = "0.1.0"
