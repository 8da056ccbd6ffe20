"""Reads networks as others wrote them: Keras files, SavedModels, weights, CSV folders."""
