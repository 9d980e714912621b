"""What each kind of step of a recipe does."""
