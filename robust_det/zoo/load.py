"""Models by name or by file, ready to use."""

from __future__ import annotations

import copy
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from robust_det.core.errors import one_line
from robust_det.zoo.locate import is_name, locate_backbone

if TYPE_CHECKING:
    from detectron2.modeling import Backbone

    from robust_det.checkpoints.model import Model
    from robust_det.models import Classifier

__all__ = ["load_backbone", "load_classifier", "path_of"]

logger = logging.getLogger(__name__)


def path_of(name_or_path: str | Path) -> Path:
    """Return the file that was given, or the one behind a name; see :func:`locate_backbone`."""
    text = os.fspath(name_or_path)
    return locate_backbone(text) if is_name(text) else Path(text).expanduser()


def load_classifier(
    name_or_path: str | Path, *, arch: str | None = None, prefix: str | None = None
) -> Classifier:
    """See :func:`robust_det.load_classifier`."""
    # a copy, so that the file may change or go while the model is in use
    return copy.deepcopy(_read(path_of(name_or_path), arch, prefix).classifier())


def load_backbone(
    name_or_path: str | Path,
    *,
    norm: str = "FrozenBN",
    out_features: Sequence[str] | None = None,
    freeze_at: int = 0,
    arch: str | None = None,
    prefix: str | None = None,
) -> Backbone:
    """See :func:`robust_det.load_backbone`."""
    from robust_det.backbones.builders import build_backbone
    from robust_det.backbones.norms import leave_out_statistics
    from robust_det.checkpoints.state_dicts import load_state
    from robust_det.models import get_architecture
    from robust_det.models.spelling import COUNTER, spelling

    path = path_of(name_or_path)
    model = _read(path, arch, prefix)
    stages = out_features or [stage.name for stage in get_architecture(model.arch).stages]
    backbone = build_backbone(model.arch, norm=norm, out_features=stages, freeze_at=freeze_at)
    own = backbone.state_dict()
    # the file has every stage, and counters of batch norm only if its source had them
    weights = {name: tensor for name, tensor in own.items() if COUNTER in name}
    given = leave_out_statistics(spelling(model.arch, "detectron2").write(model.state), own)
    weights |= {name: tensor for name, tensor in given.items() if name in own}
    load_state(backbone, weights, str(path))
    backbone.card = model.card
    return backbone.eval()


def _read(path: Path, arch: str | None, prefix: str | None) -> Model:
    """Read a model, and log what its conversion would note."""
    from robust_det.checkpoints.model_file import read_model
    from robust_det.conversion.doubts import doubts

    model = read_model(path, arch, prefix)
    for note in (*model.remarks, *doubts(model)):
        logger.warning("%s: %s", one_line(str(path)), note)
    return model
