"""The receiver: decodes what crossed the air and finds the nearest identity."""
