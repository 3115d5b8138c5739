"""Classification transfer: what a pretrained backbone is worth on other classes."""
