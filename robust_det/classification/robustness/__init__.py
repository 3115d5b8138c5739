"""How robust a classifier is: the worst case of several attacks, image by image, at several eps."""
