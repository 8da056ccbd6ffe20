"""The stations that turn a picture into embeddings: detect, align, encode."""
