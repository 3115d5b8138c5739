"""Transfer by SGD on images: of the head alone, of the whole network, or of the one and then the
other."""
