"""Image folders, transforms, and the synthetic data set."""
