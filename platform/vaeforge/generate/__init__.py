"""Images of wished classes from a trained model, as files."""
