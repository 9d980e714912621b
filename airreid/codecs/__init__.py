"""Codecs fitted in closed form, without torch."""
