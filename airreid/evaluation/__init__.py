"""Accuracy of a bundle on a data set: exact, in bounded memory, with intervals."""
