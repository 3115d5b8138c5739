"""A trained detector as one file that runs without this project, and the proof that it is the same
detector."""
