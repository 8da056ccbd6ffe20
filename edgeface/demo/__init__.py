"""`edgeface demo`: people accepted and rejected, and a living face distinguished from a photo."""
