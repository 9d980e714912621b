"""A site learned from its own crops: a public network and its codes, trained through noise."""
