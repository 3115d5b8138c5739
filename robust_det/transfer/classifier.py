"""A transferred classifier: put together from a backbone and a linear head, and its file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from robust_det.checkpoints.io import save_checkpoint
from robust_det.checkpoints.model import Model
from robust_det.checkpoints.pretrained import FORMAT
from robust_det.core.config.reading import CfgNode, to_dict
from robust_det.models import Classifier, ModelCard, get_architecture
from robust_det.models.heads import head_with
from robust_det.probes import LinearHead
from robust_det.transfer.resolve import normalisation
from robust_det.transfer.sets import TransferSet

__all__ = ["classifier_of", "description", "transferred_card", "write_classifier"]


def transferred_card(cfg: CfgNode, model: Model, data: TransferSet) -> ModelCard:
    """Return what is known of a transferred classifier; ``eps`` is that of its backbone."""
    mean, std = normalisation(cfg, model)
    return ModelCard(
        model.arch, model.norm, model.eps, mean, std, cfg.DATA.IMAGE_SIZE, data.classes
    )


def classifier_of(model: Model, head: LinearHead, card: ModelCard) -> Classifier:
    """Return the backbone with another last layer, in eval mode.

    Args:
        model: the backbone, whose tensors are shared.
        head: logits of the features that the last layer is given.
        card: of the result.
    """
    body, name = model.body(), get_architecture(model.arch).head
    parent, _, leaf = name.rpartition(".")
    layer = head_with(body.get_submodule(name), head.weight, head.bias)
    setattr(body.get_submodule(parent), leaf, layer)
    classifier = Classifier(body, card.mean, card.std).eval()
    classifier.card = card
    return classifier


def description(
    cfg: CfgNode, card: ModelCard, data: TransferSet, backbone: Path, sha256: str
) -> dict[str, Any]:
    """Return what a transferred classifier's file says beside its tensors."""
    return {
        "format": FORMAT,
        "meta": card.plain(),
        "config": to_dict(cfg),
        "transfer": {
            "backbone": {"path": str(backbone), "sha256": sha256},
            "set": cfg.DATA.SET,
            "manifest": data.manifest.digest,
        },
    }


def write_classifier(path: Path, classifier: Classifier, said: Mapping[str, Any]) -> None:
    """Write a file that :func:`robust_det.load_classifier` reads.

    Args:
        path: of the file.
        classifier: what was found.
        said: see :func:`description`.
    """
    save_checkpoint(path, {**said, "model": classifier.body.state_dict()})
