"""History: the local store of events, written by the service, read by commands and the console."""
