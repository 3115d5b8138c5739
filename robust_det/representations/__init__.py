"""Questions that networks answer on images, and no records of runs: how alike they are, and what
they go by."""
