"""Enrolled people: the contents, their file, its encryption and durability, and the search."""
