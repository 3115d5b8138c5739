"""Conversion of a classifier into a Detectron2 backbone, with proof that the features survived."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torchvision.models.feature_extraction import create_feature_extractor

from robust_det.checkpoints.backbone_file import BackboneCard, pixel_settings, write_backbone
from robust_det.checkpoints.io import load_checkpoint
from robust_det.checkpoints.pretrained import FORMAT, load_state, read_classifier
from robust_det.checkpoints.resnet_names import to_detectron2
from robust_det.detection.backbones import build_resnet
from robust_det.errors import UserError
from robust_det.models import IMAGENET_MEAN, IMAGENET_STD, build_classifier, get_architecture
from robust_det.records import sha256_file

__all__ = ["TOLERANCE", "convert", "stage_differences"]

TOLERANCE = 1e-4


def convert(source: str | Path, target: str | Path, arch: str | None = None) -> BackboneCard:
    """Convert a checkpoint, verify the result, and write it; nothing is written on failure.

    Args:
        source: a checkpoint of ``tools/pretrain.py``, or a torchvision state dict.
        target: the backbone file to write.
        arch: registry name; needed for a state dict, and must agree with a checkpoint.

    Returns:
        The card of the written backbone.

    Raises:
        UserError: unreadable source, another architecture, or features that differ by more than
            :data:`TOLERANCE`.
    """
    network, facts = _read(Path(source), arch)
    backbone = build_resnet(facts["arch"], norm="FrozenBN")
    head = get_architecture(facts["arch"]).head
    weights = to_detectron2(network.state_dict(), head)
    load_state(backbone, weights, str(source))
    differences = stage_differences(facts["arch"], network, backbone)
    stage, largest = max(differences.items(), key=lambda item: item[1])
    # written so that NaN fails too
    if not largest <= TOLERANCE:
        raise UserError(
            f"features of {stage} differ by {largest:.2e} relative, more than {TOLERANCE:.0e};"
            " nothing was written"
        )
    card = BackboneCard(source_sha256=sha256_file(source), differences=differences, **facts)
    write_backbone(target, weights, card)
    return card


def _read(source: Path, arch: str | None) -> tuple[nn.Module, dict[str, Any]]:
    """Return the network in eval mode, without normalisation, and the facts for its card."""
    content = load_checkpoint(source)
    norm, eps, mean, std = "", None, IMAGENET_MEAN, IMAGENET_STD
    if content.get("format") == FORMAT:
        card, classifier = read_classifier(source)
        if arch not in (None, card.arch):
            raise UserError(f"{source} holds a {card.arch}, not a {arch}; leave --arch out")
        arch, norm, eps, mean, std = card.arch, card.norm, card.eps, card.mean, card.std  # type: ignore[assignment]
        network = classifier.body
    else:
        network, arch = _from_state_dict(content, source, arch)
    pixel_mean, pixel_std, order = pixel_settings(mean, std)
    facts = {
        "arch": arch,
        "norm": norm,
        "eps": eps,
        "pixel_mean": pixel_mean,
        "pixel_std": pixel_std,
        "input_format": order,
    }
    return network.eval(), facts


def _from_state_dict(
    state: Mapping[str, Any], source: Path, arch: str | None
) -> tuple[nn.Module, str]:
    if not state or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise UserError(
            f"{source} is neither a checkpoint of tools/pretrain.py nor a torchvision state dict"
        )
    if arch is None:
        raise UserError(f"{source} does not say its architecture; give it with --arch")
    head = get_architecture(arch).head
    bias = state.get(f"{head}.bias")
    if bias is None or bias.dim() != 1:
        raise UserError(f"{source} has no tensor {head}.bias, so it is no {arch} of torchvision")
    network = build_classifier(arch, len(bias)).body
    load_state(network, state, str(source))
    return network, arch


@torch.no_grad()
def stage_differences(
    arch: str, network: nn.Module, backbone: nn.Module, size: int = 128, seed: int = 0
) -> dict[str, float]:
    """Compare the stages of a classifier and a Detectron2 backbone on the same images.

    Args:
        arch: registry name of both.
        network: the classifier without normalisation, in torchvision's names.
        backbone: returns the stages by name.
        size: side of the images in pixels.
        seed: of the random images.

    Returns:
        For each stage the largest absolute difference, divided by the largest absolute value.
    """
    modes = [(module, module.training) for module in (network, backbone)]
    stages = get_architecture(arch).stages
    noise = torch.Generator().manual_seed(seed)
    # normalised images: smooth random fields and plain noise
    smooth = torch.nn.functional.interpolate(
        torch.randn(2, 3, 8, 8, generator=noise), size=(size, size), mode="bilinear"
    )
    images = torch.cat([smooth, torch.randn(2, 3, size, size, generator=noise)])
    extractor = create_feature_extractor(network.eval(), {s.module: s.name for s in stages})
    expected, got = extractor(images), backbone.eval()(images)
    for module, training in modes:
        module.train(training)
    return {
        s.name: float((got[s.name] - expected[s.name]).abs().max() / expected[s.name].abs().max())
        for s in stages
    }
