"""Recipes: everything that decides a training run, as frozen and bounded data."""
