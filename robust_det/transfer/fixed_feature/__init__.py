"""Heads on the features of a frozen backbone, which are extracted once."""
