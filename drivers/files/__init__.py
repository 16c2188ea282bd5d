"""Files of interval data: codecs, without I/O."""
