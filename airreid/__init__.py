"""AirReID: find a person again over a radio link.

The Python API (docs/python.md). Names are loaded when they are first used, so that
``import airreid`` itself loads neither NumPy nor gRPC.

Example:
    >>> import airreid
    >>> people, queries = airreid.synthetic_people(5)
    >>> model = airreid.Model(airreid.load_bundle(), "jscc-ae-256")
    >>> gallery = airreid.Gallery(model)
    >>> gallery.add(*people)
    range(0, 10)
    >>> radio = airreid.channel("awgn", snr_db=10, seed=1)
    >>> received, report = radio.transmit(model.encode(queries.images))
    >>> gallery.search(model.decode(received, report), top_k=1)[0][0].subject
    'person-0000'
"""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airreid.api.access_point import AccessPoint, Answer, Enrolled
    from airreid.api.accuracy import Accuracy, evaluate
    from airreid.api.channel import Channel, Report, channel
    from airreid.api.crops import Crops, read_crops, synthetic_people
    from airreid.api.gallery import Gallery, Hit
    from airreid.api.model import Blocks, Model
    from airreid.api.own_scheme import add_jscc_scheme
    from airreid.api.remote_channel import RemoteChannel
    from airreid.bundle import Bundle, load_bundle
    from airreid.errors import AirReidError, BundleError, InputError, LinkError
    from airreid.scheme import Received
    from airreid.signal import capacity

__version__ = "0.1.0"
__all__ = [
    "AccessPoint",
    "Accuracy",
    "AirReidError",
    "Answer",
    "Blocks",
    "Bundle",
    "BundleError",
    "Channel",
    "Crops",
    "Enrolled",
    "Gallery",
    "Hit",
    "InputError",
    "LinkError",
    "Model",
    "Received",
    "RemoteChannel",
    "Report",
    "add_jscc_scheme",
    "capacity",
    "channel",
    "evaluate",
    "load_bundle",
    "read_crops",
    "synthetic_people",
]

# ONNX Runtime asks for a host outside and leaves an id in the home folder as soon as it
# is imported; only the environment stops it, and only before that. An operator who sets
# the variable decides.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_MODULES = {
    "airreid.api.access_point": ("AccessPoint", "Answer", "Enrolled"),
    "airreid.api.accuracy": ("Accuracy", "evaluate"),
    "airreid.api.channel": ("Channel", "Report", "channel"),
    "airreid.api.crops": ("Crops", "read_crops", "synthetic_people"),
    "airreid.api.gallery": ("Gallery", "Hit"),
    "airreid.api.model": ("Blocks", "Model"),
    "airreid.api.own_scheme": ("add_jscc_scheme",),
    "airreid.api.remote_channel": ("RemoteChannel",),
    "airreid.bundle": ("Bundle", "load_bundle"),
    "airreid.errors": ("AirReidError", "BundleError", "InputError", "LinkError"),
    "airreid.scheme": ("Received",),
    "airreid.signal": ("capacity",),
}
"""Public names by the module that holds them."""


def __getattr__(name: str) -> object:
    """Loads a public name when it is first used (PEP 562)."""
    import importlib

    for module, names in _MODULES.items():
        if name in names:
            try:
                value: object = getattr(importlib.import_module(module), name)
            except ModuleNotFoundError as error:
                if (error.name or "").partition(".")[0] == "airreid":
                    raise
                raise ImportError(
                    f"airreid.{name} needs {error.name}: install AirReID with the extra "
                    "evaluate, pip install 'airreid[evaluate]'"
                ) from error
            globals()[name] = value
            return value
    raise AttributeError(f"module 'airreid' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
