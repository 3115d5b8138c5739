"""What standard and robust features look like: networks side by side, one module a kind."""
