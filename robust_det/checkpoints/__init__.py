"""Checkpoint files: safe reading of any format, atomic writing, names."""
