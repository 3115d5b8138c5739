"""The registered architectures as Detectron2 backbones.

Importing this package is the one thing that prepares Detectron2 (see :mod:`.compat`); every module
below it, and below packages that import it first, may import ``detectron2`` at its top.
"""

from robust_det.backbones.compat import prepare_detectron2

prepare_detectron2()
