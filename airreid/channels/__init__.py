"""Channel models as pure functions over blocks, and the settings of a link."""
