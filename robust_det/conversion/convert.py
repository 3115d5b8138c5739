"""Conversion of a classifier into a Detectron2 backbone, with proof that the features survived."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torchvision.models.feature_extraction import create_feature_extractor

from robust_det.backbones.builders import build_resnet
from robust_det.checkpoints.backbone_file import BackboneCard, pixel_settings, write_backbone
from robust_det.checkpoints.io import load_checkpoint
from robust_det.checkpoints.pretrained import FORMAT, classifier_of, load_state
from robust_det.checkpoints.resnet_names import to_detectron2
from robust_det.errors import UserError
from robust_det.models import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Classifier,
    build_classifier,
    get_architecture,
)
from robust_det.records import sha256_file

__all__ = ["TOLERANCE", "convert", "stage_differences"]

TOLERANCE = 1e-4
NORMS = ("l2", "linf")


def convert(
    source: str | Path,
    target: str | Path,
    arch: str | None = None,
    norm: str | None = None,
    eps: float | None = None,
) -> BackboneCard:
    """Convert a checkpoint, verify the result, and write it; nothing is written on failure.

    Args:
        source: a checkpoint of ``tools/pretrain.py``, or a torchvision state dict.
        target: the backbone file to write.
        arch: registry name; needed for a state dict, and must agree with a checkpoint.
        norm, eps: threat model of a state dict's training, ``l2`` or ``linf`` and eps in [0, 1]
            pixel units, 0 for standard training. Must agree with a checkpoint, which knows.

    Returns:
        The card of the written backbone.

    Raises:
        UserError: unreadable source, another architecture, or features that differ by more than
            :data:`TOLERANCE`.
    """
    if Path(target).resolve() == Path(source).resolve():
        raise UserError(f"OUTPUT is INPUT, {source}; give another file to write")
    classifier, facts = _read(Path(source), arch, norm, eps)
    layout = get_architecture(facts["arch"])
    backbone = build_resnet(layout.name, norm="FrozenBN")
    weights = to_detectron2(classifier.body.state_dict(), layout.head)
    load_state(backbone, weights, str(source))
    differences = stage_differences(
        layout.name,
        classifier,
        backbone,
        facts["pixel_mean"],
        facts["pixel_std"],
        facts["input_format"],
    )
    for stage, value in differences.items():
        if math.isnan(value):
            raise UserError(
                f"features of {stage} are not finite, so {source} is damaged or diverged;"
                " nothing was written"
            )
        if value > TOLERANCE:
            raise UserError(
                f"features of {stage} differ by {value:.2e} relative, more than {TOLERANCE:.0e};"
                " nothing was written"
            )
    card = BackboneCard(source_sha256=sha256_file(source), differences=differences, **facts)
    write_backbone(target, weights, card)
    return card


def _read(
    source: Path, arch: str | None, norm: str | None, eps: float | None
) -> tuple[Classifier, dict[str, Any]]:
    """Return the classifier in eval mode and the facts for its card."""
    if norm is not None and norm.lower() not in NORMS:
        raise UserError(f"unknown norm '{norm}'; use {' or '.join(NORMS)}")
    if eps is not None and not 0 <= eps < math.inf:
        raise UserError(f"eps is {eps}, not a number from 0 up")
    content = load_checkpoint(source)
    if content.get("format") == FORMAT:
        card, classifier = classifier_of(content, source)
        for what, said, known in (
            ("arch", arch, card.arch),
            ("norm", norm and norm.lower(), card.norm.lower()),
            ("eps", eps, card.eps),
        ):
            if said is not None and said != known:
                raise UserError(f"{source} has {what} {known}, not {said}; leave --{what} out")
        arch, norm, eps = card.arch, card.norm, card.eps
        mean, std = card.mean, card.std
    else:
        if eps and not norm:
            raise UserError(f"--eps {eps:g} needs --norm, {' or '.join(NORMS)}")
        classifier, arch = _from_state_dict(content, source, arch)
        norm = norm.lower() if norm else ""
        mean, std = IMAGENET_MEAN, IMAGENET_STD
    pixel_mean, pixel_std, order = pixel_settings(mean, std)
    facts = {
        "arch": arch,
        "norm": norm,
        "eps": eps,
        "pixel_mean": pixel_mean,
        "pixel_std": pixel_std,
        "input_format": order,
    }
    return classifier.eval(), facts


def _from_state_dict(
    state: Mapping[str, Any], source: Path, arch: str | None
) -> tuple[Classifier, str]:
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
    classifier = build_classifier(arch, len(bias))
    load_state(classifier.body, state, str(source))
    return classifier, arch


@torch.no_grad()
def stage_differences(
    arch: str,
    classifier: Classifier,
    backbone: nn.Module,
    pixel_mean: Sequence[float],
    pixel_std: Sequence[float],
    input_format: str,
    size: int = 128,
    seed: int = 0,
) -> dict[str, float]:
    """Compare the stages of a classifier and a Detectron2 backbone on the same images.

    Each gets them its own way, so that the normalisation is compared too: the classifier RGB in
    [0, 1], the backbone what Detectron2 makes of the same image in [0, 255].

    Args:
        arch: registry name of both.
        classifier: in torchvision's names.
        backbone: returns the stages by name.
        pixel_mean, pixel_std, input_format: as in a detection config.
        size: side of the images in pixels.
        seed: of the random images.

    Returns:
        For each stage the largest absolute difference, divided by the largest absolute value;
        NaN if there are values that are not finite.
    """
    modes = [(module, module.training) for module in (classifier, backbone)]
    stages = get_architecture(arch).stages
    noise = torch.Generator().manual_seed(seed)
    # smooth random fields and plain noise
    smooth = nn.functional.interpolate(
        torch.rand(2, 3, 8, 8, generator=noise), size=(size, size), mode="bilinear"
    )
    images = torch.cat([smooth, torch.rand(2, 3, size, size, generator=noise)])
    extractor = create_feature_extractor(
        classifier.eval(), {f"body.{s.module}": s.name for s in stages}
    )
    expected = extractor(images)
    pixels = 255 * (images.flip(1) if input_format == "BGR" else images)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (pixel_mean, pixel_std))
    got = backbone.eval()((pixels - mean) / std)
    for module, training in modes:
        module.train(training)
    return {s.name: _difference(expected[s.name], got[s.name]) for s in stages}


def _difference(expected: torch.Tensor, got: torch.Tensor) -> float:
    # features may be zero everywhere, which divides by nothing
    scale = expected.abs().max().clamp_min(torch.finfo(expected.dtype).tiny)
    return float((got - expected).abs().max() / scale)
