"""From an image file and its objects to what the network learns from: decoding and augmentation."""
