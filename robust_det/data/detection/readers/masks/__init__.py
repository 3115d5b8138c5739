"""Folders of masks: PNG files whose pixels say which object they belong to."""
