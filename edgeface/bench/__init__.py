"""Measures this machine and a model: latency, memory, start-up time, accuracy on pairs."""
