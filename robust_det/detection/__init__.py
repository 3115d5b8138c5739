"""Detection with Detectron2: config keys, data sets, trainer, evaluation.

Importing this package prepares Detectron2 (see :mod:`robust_det.backbones.compat`), so every module
below it may import ``detectron2`` at its top. Programs that start worker processes which import
Detectron2 must import this package at the top of their main module, so that the workers do too.
"""

import robust_det.backbones  # noqa: F401
