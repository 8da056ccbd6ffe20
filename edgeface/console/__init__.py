"""Console: the page and the JSON interface with which a phone runs a Pi without a screen.

It is a client: it asks the running service over its control sockets and reads the history. It opens
no camera, no gallery and no model, and imports nothing that does.
"""
