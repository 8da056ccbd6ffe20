"""Reads networks in other tools' formats: Keras files, SavedModels, weights, CSV folders."""
