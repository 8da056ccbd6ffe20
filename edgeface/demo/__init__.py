"""What `edgeface demo` shows: faces accepted and refused, and a picture told from a person."""
