"""Measurements and tests that are run by hand; each module's docstring says how."""
