"""Model card: accuracy on people nobody trained on, and the page that shows it."""
