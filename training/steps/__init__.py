"""Steps of a recipe at work: one module for each kind."""
