"""Detection with Detectron2: config keys, data sets, trainer, evaluation.

Importing this package prepares Detectron2 (see :mod:`robust_det.backbones.compat`), so every module
below it may import ``detectron2`` at its top, and registers with it what a config may name: the
backbones, the C4 heads and ``robust://NAME``. Programs that start worker processes which import
Detectron2 must import this package at the top of their main module, so that the workers do too.
"""

from robust_det.backbones import builders  # noqa: F401
from robust_det.detection import paths, roi_heads  # noqa: F401
