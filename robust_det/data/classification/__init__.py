"""Image folders: reading, augmentation, and the order of the images."""
