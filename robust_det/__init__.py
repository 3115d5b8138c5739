"""robust_det: do adversarially robust backbones make better detectors?

Importing the package changes nothing in other libraries, and imports neither torch nor Detectron2;
that is left to the functions and subpackages that need them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from robust_det.core.installation import __version__

if TYPE_CHECKING:
    from detectron2.modeling import Backbone

    from robust_det.models import Classifier

__all__ = ["__version__", "load_backbone", "load_classifier"]


def load_classifier(
    name_or_path: str | Path, *, arch: str | None = None, prefix: str | None = None
) -> Classifier:
    """Load a classifier, in eval mode: ``load_classifier("resnet50_l2_eps3")``.

    What was assumed of a file, left out or speaks against it is logged, a warning each.

    Args:
        name_or_path: a file, or a name as in ``robust://NAME``: an own conversion or a published
            model, which is fetched and verified when it is first asked for.
        arch: its architecture, for a file that leaves it open (``--arch`` in messages); one that
            does not must agree.
        prefix: of its tensors, for a file of several networks (``--prefix`` in messages).

    Returns:
        A module that takes RGB images (N, 3, H, W) in [0, 1] and returns logits (N, classes); the
        normalisation is inside. Its ``card`` says arch, norm, eps, mean, std, image_size, classes.

    Raises:
        UserError: there is no such file or name, or it cannot be downloaded or read.
    """
    from robust_det.zoo import load

    return load.load_classifier(name_or_path, arch=arch, prefix=prefix)


def load_backbone(
    name_or_path: str | Path,
    *,
    norm: str = "FrozenBN",
    out_features: Sequence[str] | None = None,
    freeze_at: int = 0,
    arch: str | None = None,
    prefix: str | None = None,
) -> Backbone:
    """Load a Detectron2 backbone with its weights, in eval mode; warns as :func:`load_classifier`.

    Args:
        name_or_path: see :func:`load_classifier`.
        norm: norm layers, as in ``MODEL.RESNETS.NORM``.
        out_features: stages to return, of ``stem`` and ``res2`` .. ``res5``; by default the four.
        freeze_at: number of stages to freeze; 1 is the stem, 2 the stem and res2, and so on.
        arch, prefix: see :func:`load_classifier`.

    Returns:
        A module that takes normalised RGB images (N, 3, H, W) and returns a dictionary of features
        by stage. Its ``card`` says arch, norm, eps, image_size, classes, and the mean and std of
        the normalisation, for images in [0, 1].

    Raises:
        UserError: see :func:`load_classifier`.
    """
    from robust_det.zoo import load

    return load.load_backbone(
        name_or_path,
        norm=norm,
        out_features=out_features,
        freeze_at=freeze_at,
        arch=arch,
        prefix=prefix,
    )
