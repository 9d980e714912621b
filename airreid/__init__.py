"""AirReID: find a person again over a radio link. What both ends must agree on."""

import os

__version__ = "0.1.0"

# ONNX Runtime asks for a host outside and leaves an id in the home folder as soon as it
# is imported; only the environment stops it, and only before that. An operator who sets
# the variable decides.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
