"""robust_det: do adversarially robust backbones make better detectors?

Importing the package changes nothing in other libraries; Detectron2 is only touched by
:mod:`robust_det.detection`.
"""

__version__ = "0.1.0"
