"""Data sets written as COCO JSON, whole or split."""
