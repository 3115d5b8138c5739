"""Accuracy of each class: counted, as a table, and in a line."""
