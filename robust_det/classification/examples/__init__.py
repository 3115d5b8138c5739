"""Some images as they are and under attack: chosen, kept, and drawn so that people see eps."""
