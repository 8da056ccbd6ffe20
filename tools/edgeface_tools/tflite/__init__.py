"""TFLite files: their flatbuffer, their operators, their inspection."""
