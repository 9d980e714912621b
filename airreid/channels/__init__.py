"""Channel models as pure functions over blocks, and the settings of a link."""

from airreid.channels import builtin as builtin  # registers the project's own models
