"""Detection with Detectron2: registered backbones, config keys, data sets, trainer, evaluation.

Importing this package is the one thing that prepares Detectron2 (see :mod:`.compat`); every module
below it may import ``detectron2`` at its top. Programs that start worker processes which import
Detectron2 must import this package at the top of their main module, so that the workers do too.
"""

from robust_det.detection.compat import prepare_detectron2

prepare_detectron2()
