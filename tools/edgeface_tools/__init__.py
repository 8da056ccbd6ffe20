"""The workstation side: from a Keras face network to a small TFLite file that describes its use.

Nothing here runs on the device. TensorFlow is imported by the modules that need it when they need
it, so that `convert-model --help` answers at once and reading a source never loads it.
"""
