"""Generated networks of every kind that engineers bring to convert-model."""
