"""What follows from the trained detector that a run starts from."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode
from detectron2.utils import comm

from robust_det.checkpoints.backbone_file import BackboneCard, card_of
from robust_det.checkpoints.io import peek_checkpoint
from robust_det.core.errors import UserError
from robust_det.detection.checkpointer import is_backbone
from robust_det.detection.config.adopt import Origins
from robust_det.detection.config.trained import adopt_model
from robust_det.detection.config.weights import adopt_card, adopt_weights, is_local
from robust_det.detection.provenance import Provenance, provenance_in

__all__ = ["adopt_init_detector", "init_content"]

logger = logging.getLogger(__name__)

_KEY = "MODEL.INIT_DETECTOR"
# another one has other weights, or gives them another meaning
_SAME = ("MODEL.BACKBONE.ARCH", "MODEL.META_ARCHITECTURE")


def init_content(path: str) -> dict[str, Any]:
    """Return the content of a detector that a run can start from, without its tensors.

    Raises:
        UserError: it is not there, or is something else.
    """
    if not Path(path).is_file():
        raise UserError(f"no detector at {path}, which {_KEY} names; give a trained one")
    if not path.endswith(".pth"):
        raise UserError(
            f"{_KEY} {path} is not a .pth file; a run starts from a detector that robust-det train"
            " made"
        )
    content = peek_checkpoint(path)
    if is_backbone(content):
        raise UserError(
            f"{_KEY} {path} is a backbone, not a trained detector; give it as --backbone"
        )
    if not isinstance(content.get("model"), dict) or (
        card_of(content, path) is None and provenance_in(content, path) is None
    ):
        raise UserError(
            f"{_KEY} {path} is no detector that robust-det train made, and does not say of which"
            " architecture and pixels it is; to start from its backbone, convert it: robust-det"
            " convert"
        )
    return content


def adopt_init_detector(cfg: CfgNode, origins: Origins) -> BackboneCard | None:
    """Take the model, and the backbone's card, from the detector in ``MODEL.INIT_DETECTOR``.

    Where the config says otherwise and the weights may fit all the same, as with other sizes of
    anchors, a warning names the keys.

    Returns:
        The card of the backbone that the detector was trained from; None if it had none.

    Raises:
        UserError: it is no detector, of another architecture, or from another backbone than
            ``MODEL.WEIGHTS``.
    """
    path = cfg.MODEL.INIT_DETECTOR
    content = init_content(path)
    card, made = card_of(content, path), provenance_in(content, path)
    if made is not None:
        other: list[str] = []
        adopt_model(cfg, origins, made.config, path, other)
        for key in _SAME:
            if key in other:
                raise UserError(
                    f"{path} is a detector of another {key}, and its weights do not fit; leave the"
                    f" key out, or --init-detector"
                )
        if other and comm.is_main_process():
            logger.warning(f"{path} was trained with other values of {', '.join(other)}")
    _check_backbone(cfg, origins, path, card, made)
    adopt_card(cfg, origins, card, path)
    return card


def _check_backbone(
    cfg: CfgNode, origins: Origins, path: str, card: BackboneCard | None, made: Provenance | None
) -> None:
    """Let ``MODEL.WEIGHTS`` be those that the detector was trained from, as far as it says them."""
    before = made.config["MODEL"]["WEIGHTS"] if made else ""
    weights = cfg.MODEL.WEIGHTS
    if not weights:
        cfg.MODEL.WEIGHTS = before
        origins.adopted["MODEL.WEIGHTS"] = path
        return
    local = is_local(weights)
    own = adopt_weights(cfg, origins) if local else None
    if card is not None and not (card.source_sha256 if local else made):
        if comm.is_main_process():
            lack = f"{path} does not say its own" if local else f"{weights} is not there"
            logger.warning(f"MODEL.WEIGHTS is not compared with the detector's backbone: {lack}")
        return
    if local:
        same = card is not None and own is not None and own.source_sha256 == card.source_sha256
    else:
        same = weights == before
    if not same:
        source = f"the backbone {before}" if before else "another backbone" if card else "none"
        raise UserError(
            f"MODEL.WEIGHTS is {weights}, and the detector {path}, which the run starts from, was"
            f" trained from {source}; leave --backbone out, or set MODEL.WEIGHTS ''"
        )
