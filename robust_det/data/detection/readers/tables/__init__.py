"""Tables of boxes: CSV files, one row an object."""
