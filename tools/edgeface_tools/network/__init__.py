"""The network as a graph of operations: rewritten, split, and written as Keras or TFLite."""
