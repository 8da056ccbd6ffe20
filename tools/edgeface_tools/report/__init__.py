"""The report that is written beside a converted model."""
