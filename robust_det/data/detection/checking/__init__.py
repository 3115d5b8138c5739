"""What is unsound in a document in COCO format, or in its images: found, counted, left out."""
