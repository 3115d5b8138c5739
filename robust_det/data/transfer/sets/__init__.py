"""Readers of the sets, a module each: from the official files to paths and classes."""
