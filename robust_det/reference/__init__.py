"""Figures that others have reported, each with what it can be compared with."""
