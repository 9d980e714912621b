"""Synthetic people: licence-free person crops for the demo, the tests and the recipes.

NumPy and Pillow only. Nothing here shows, or is derived from, a real person.
"""
