"""Calibration and quantization of a network, and what it costs layer by layer."""
