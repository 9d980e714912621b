"""How good a bundle is on a data set: exact, in bounded memory, with intervals."""
