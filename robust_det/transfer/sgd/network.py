"""The network of a transfer: a backbone with a new last layer, and what of it learns."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from robust_det.classification.settings import memory_layout
from robust_det.classification.stagewise import frozen_stages, resting_modules, stage_groups
from robust_det.classification.starting import Start
from robust_det.core.config.reading import CfgNode
from robust_det.core.errors import UserError
from robust_det.models import Classifier, ModelCard, build_classifier, get_architecture
from robust_det.transfer.classifier import transferred_card
from robust_det.transfer.sets import TransferSet

__all__ = ["build_network", "card_of", "learning_groups", "still_modules"]


def card_of(cfg: CfgNode, start: Start, data: TransferSet) -> ModelCard:
    """Return what is known of the transferred classifier; its classes are the names of its logits.

    Those that the paper's head has without a class are called ``unused 48`` and so on.
    """
    card = transferred_card(cfg, start.model, data)
    outputs = data.facts.paper_outputs if cfg.PAPER.DTD_OUTPUTS else 0
    unused = [f"unused {number + 1}" for number in range(len(card.classes), outputs)]
    return dataclasses.replace(card, classes=(*card.classes, *unused))


def build_network(
    cfg: CfgNode, card: ModelCard, start: Start, device: torch.device, *, new_head: bool
) -> tuple[Classifier, str]:
    """Build a classifier that starts from other weights.

    Args:
        cfg: a resolved config.
        card: of the result.
        start: the weights.
        device: where it is to be.
        new_head: whether its last layer is new; otherwise it is that of the weights.

    Returns:
        It, and what was done with the head, in words.
    """
    model = build_classifier(card.arch, len(card.classes), card.mean, card.std)
    said = start.load(model, card.classes, new_head=new_head)
    model.to(device).to(memory_format=memory_layout(cfg))
    if cfg.TRAIN.COMPILE:
        model.compile()
    return model, said


def learning_groups(
    cfg: CfgNode, model: Classifier, start: Start, *, head_alone: bool
) -> list[Mapping[str, Any]]:
    """Return the parameters that learn, each stage's with the factor of its learning rate; all
    others need no gradient from now on.

    Args:
        cfg: a resolved config.
        model: the classifier.
        start: its weights.
        head_alone: whether its last layer learns alone.

    Raises:
        UserError: other layers of the head would stay as random as they are.
    """
    arch = start.model.arch
    if head_alone:
        _require_hidden_layers(model, start)
        last = model.body.get_submodule(get_architecture(arch).head)
        model.requires_grad_(False)
        last.requires_grad_(True)
        return [{"params": list(last.parameters()), "factor": 1.0}]
    frozen = frozen_stages(arch, cfg.TRANSFER.FREEZE, "TRANSFER.FREEZE")
    return stage_groups(model.body, arch, frozen, cfg.TRANSFER.LAYER_DECAY)


def still_modules(
    cfg: CfgNode, model: Classifier, arch: str, *, head_alone: bool
) -> list[nn.Module]:
    """Return the modules that are in eval mode while the network is trained: the frozen ones.

    Of a head that learns alone these are all, unless the paper's quirk lets the norms drift.
    """
    if head_alone:
        return [] if cfg.PAPER.DRIFTING_NORMS else list(model.body.modules())
    frozen = frozen_stages(arch, cfg.TRANSFER.FREEZE, "TRANSFER.FREEZE")
    return resting_modules(model.body, arch, frozen)


def _require_hidden_layers(model: Classifier, start: Start) -> None:
    architecture = get_architecture(start.model.arch)
    for name in model.body.state_dict().keys() - start.model.state.keys():
        if architecture.in_head(name) and not name.startswith(f"{architecture.head}."):
            raise UserError(
                f"{start.path} has no head, and a head of a {architecture.name} has layers before"
                f" its last, such as {name}, which would stay random",
                "take the file of the whole classifier, or TRANSFER.MODE full-network",
            )
