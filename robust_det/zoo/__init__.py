"""Backbones by name: ``robust://NAME``."""
