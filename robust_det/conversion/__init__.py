"""Conversion of a classifier into a Detectron2 backbone, with proof."""
