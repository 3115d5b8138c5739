"""What data a file or a folder holds, told from what is there."""

from robust_det.data.detection.layouts.layout import ALL, TEST, TRAIN, VAL, Layout
from robust_det.data.detection.layouts.recognising import ImagesOfClasses, recognise

__all__ = ["ALL", "TEST", "TRAIN", "VAL", "ImagesOfClasses", "Layout", "recognise"]
