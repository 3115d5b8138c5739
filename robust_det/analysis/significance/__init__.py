"""How sure a figure is and what is behind it: bootstrap intervals and kinds of errors.

Works on ground truth and saved detections in COCO's formats; it runs no network.
"""
