"""TFLite files: their flatbuffer, their operators, what is inside."""
