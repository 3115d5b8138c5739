"""A config chosen from data, backbone and device: for whoever has only images and boxes."""
