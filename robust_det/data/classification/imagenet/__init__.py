"""ImageNet as it is handed out: tar files, which are read where they are."""
