"""Checkpoint files: safe reading, atomic writing, conversion."""
