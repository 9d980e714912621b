"""From images to a bundle; alone imports torch."""

import airreid as _airreid  # noqa: F401 - silences ONNX Runtime before it is imported
