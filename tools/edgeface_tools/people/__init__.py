"""Faces of labelled people, their embeddings, and the error rates measured on them."""
