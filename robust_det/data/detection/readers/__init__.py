"""One reader a form of data: each makes a document in COCO format of its files."""
