"""Conversion of any checkpoint into a Detectron2 backbone or a state dict, with proof that the
features survived."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from robust_det.attacks import NORMS
from robust_det.backbones.builders import build_backbone
from robust_det.checkpoints.backbone_file import BackboneCard, pixel_settings, write_backbone
from robust_det.checkpoints.model import Model
from robust_det.checkpoints.model_file import read_model
from robust_det.checkpoints.names import COUNTER, spelling
from robust_det.checkpoints.normalisation import ASSUMED
from robust_det.checkpoints.pretrained import load_state, with_versions
from robust_det.conversion.proof import photographs, random_images, stage_differences
from robust_det.conversion.targets import check_target, write_state_dict
from robust_det.errors import UserError
from robust_det.models import Classifier
from robust_det.records import sha256_file

__all__ = ["TOLERANCE", "Conversion", "convert"]

TOLERANCE = 1e-4


@dataclass(frozen=True)
class Conversion:
    """What a conversion did.

    Attributes:
        card: of the written backbone, or of the one that the written tensors would make.
        format: what kind of file the source is.
        num_classes: width of its head; 0 without one.
        differences: on ``random`` and on ``real`` images, the largest relative difference of each
            stage between torchvision's network and Detectron2's.
        notes: what was assumed or changed.
    """

    card: BackboneCard
    format: str
    num_classes: int
    differences: Mapping[str, Mapping[str, float]]
    notes: tuple[str, ...]


def convert(
    source: str | Path,
    target: str | Path,
    *,
    to: str = "detectron2",
    arch: str | None = None,
    norm: str | None = None,
    eps: float | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    prefix: str | None = None,
    overwrite: bool = False,
) -> Conversion:
    """Convert a checkpoint, verify the result, and write it; nothing is written on failure.

    Args:
        source: a checkpoint of any format that :func:`read_model` reads.
        target: the file to write.
        to: ``detectron2``, ``torchvision`` or ``timm``.
        arch: registry name, where the file leaves it open.
        norm, eps: threat model of its training, ``l2`` or ``linf`` and eps in [0, 1] pixel units,
            0 for standard training. Must agree with a file that says.
        mean, std: of the normalisation, RGB in [0, 1], where the file does not say.
        prefix: where in the file, if it holds several networks.
        overwrite: replace a target that exists.

    Raises:
        UserError: unreadable source, unwritable target, a description that contradicts the file,
            or features that differ by more than :data:`TOLERANCE`.
    """
    # unlike Path.resolve, this follows links in a circle no further
    if os.path.realpath(target) == os.path.realpath(source):
        raise UserError(f"OUTPUT is INPUT, {source}; give another file to write")
    check_target(target, to, overwrite)
    model = _described(read_model(source, arch, prefix), str(source), norm, eps, mean, std)
    settings = pixel_settings(model.mean, model.std)
    differences, weights = _prove(model, settings, str(source))
    card = BackboneCard(
        arch=model.arch,
        norm=model.norm,
        eps=model.eps,
        pixel_mean=settings[0],
        pixel_std=settings[1],
        input_format=settings[2],
        source_sha256=sha256_file(source),
        differences={
            stage: max(by_images[stage] for by_images in differences.values())
            for stage in differences["random"]
        },
        image_size=model.image_size,
        classes=model.classes,
        source_format=model.format,
    )
    if to == "detectron2":
        whole = _spelled(model, to)
        rest = {name: tensor for name, tensor in whole.items() if name not in weights}
        write_backbone(target, weights, card, rest)
    else:
        spelled = _spelled(model, to)
        if to == "torchvision":
            own = model.body().state_dict()
            # older files lack the counters, and torchvision insists on them beside its versions
            counters = {name: own[name] for name in own if COUNTER in name}
            spelled = with_versions({**counters, **spelled}, own)
            if Path(target).suffix == ".safetensors":
                _refuse_unversioned(model)
        write_state_dict(target, spelled, card)
    return Conversion(card, model.format, model.num_classes, differences, model.notes)


def _refuse_unversioned(model: Model) -> None:
    """Refuse a file that torchvision would not load: safetensors keeps no versions of modules."""
    body = model.body()
    try:
        body.load_state_dict(dict(body.state_dict()), assign=True)
    except ValueError as error:
        raise UserError(
            f"torchvision loads a {model.arch} only with the versions of its modules, which"
            " safetensors cannot hold; give OUTPUT the suffix .pth"
        ) from error


def _described(
    model: Model,
    source: str,
    norm: str | None,
    eps: float | None,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
) -> Model:
    """Add what the user says to what the file says; they must not disagree."""
    norm = norm.lower() if norm else None
    if norm is not None and norm not in NORMS:
        raise UserError(f"unknown norm '{norm}'; use {' or '.join(NORMS)}")
    if eps is not None and not 0 <= eps < math.inf:
        raise UserError(f"eps is {eps}, not a number from 0 up")
    if eps is not None and eps > 1 and norm == "linf":
        raise UserError(
            f"eps {eps:g} is more than all of [0, 1]; for pixels up to 255 divide by 255"
        )
    if (mean is None) != (std is None):
        raise UserError("give --mean and --std together, three numbers each, RGB in [0, 1]")
    if model.eps is not None:
        for what, given, known in (("norm", norm, model.norm.lower()), ("eps", eps, model.eps)):
            if given is not None and given != known:
                known = "no norm" if known == "" else f"{what} {known}"
                raise UserError(f"{source} has {known}, not {given}; leave --{what} out")
    else:
        if eps and not norm:
            raise UserError(f"--eps {eps:g} needs --norm, {' or '.join(NORMS)}")
        if norm and eps is None:
            raise UserError(f"--norm {norm} needs --eps, in [0, 1] pixel units such as 4/255")
        model = replace(model, norm=norm or "", eps=eps)
    if mean is None or std is None:
        return model
    if (len(mean), len(std)) != (3, 3) or not all(
        0 <= m <= 1 and 0 < s <= 1 for m, s in zip(mean, std, strict=True)
    ):
        raise UserError(
            "--mean and --std need three numbers each, RGB in [0, 1], std above 0; divide those of"
            " images in [0, 255] by 255"
        )
    if model.normalisation_known and any(
        abs(a - b) > 1e-6 for a, b in zip((*model.mean, *model.std), (*mean, *std), strict=True)
    ):
        raise UserError(
            f"{source} has mean {_numbers(model.mean)} and std {_numbers(model.std)}; leave --mean"
            " and --std out"
        )
    notes = tuple(note for note in model.notes if ASSUMED not in note)
    return replace(model, mean=tuple(mean), std=tuple(std), notes=notes, normalisation_known=True)


def _numbers(values: Sequence[float]) -> str:
    return " ".join(f"{value:g}" for value in values)


def _spelled(model: Model, library: str) -> dict[str, torch.Tensor]:
    return spelling(model.arch, library).write(model.state)


def _prove(
    model: Model, settings: tuple[Sequence[float], Sequence[float], str], source: str
) -> tuple[dict[str, dict[str, float]], dict[str, torch.Tensor]]:
    """Run torchvision's and Detectron2's network on the same images.

    Returns:
        The differences, and the backbone's tensors.
    """
    with torch.device("meta"):
        backbone = build_backbone(model.arch, norm="FrozenBN")
    whole, own = _spelled(model, "detectron2"), backbone.state_dict()
    weights = {name: whole[name] for name in own if name in whole}
    load_state(backbone, weights, source, assign=True)
    classifier = Classifier(model.body(), model.mean, model.std)
    differences = {
        kind: stage_differences(model.arch, classifier, backbone, *settings, images=images)
        for kind, images in (("random", random_images()), ("real", photographs()))
    }
    for kind, by_stage in differences.items():
        for stage, value in by_stage.items():
            if math.isnan(value):
                raise UserError(
                    f"features of {stage} are not finite on {kind} images, so {source} is damaged"
                    " or diverged; nothing was written"
                )
            if value > TOLERANCE:
                raise UserError(
                    f"features of {stage} differ by {value:.2e} relative on {kind} images, more"
                    f" than {TOLERANCE:.0e}; nothing was written"
                )
    return differences, weights
