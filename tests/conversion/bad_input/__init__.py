"""What the converter cannot use, as its command line says it: one line, and nothing is written."""
