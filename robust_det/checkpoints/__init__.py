"""Checkpoint files: safe reading of any format, what they hold, atomic writing."""
