"""The service: `edgeface run`, for months, unattended.

Takes in frames from a feed, hands on events to the sinks. It drives the same line as every other
command and holds no image processing of its own.
"""
