"""Conversion of any checkpoint into a Detectron2 backbone or a state dict, with proof that the
features survived."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from robust_det.backbones.builders import build_backbone
from robust_det.checkpoints.backbone_file import BackboneCard, pixel_settings, write_backbone
from robust_det.checkpoints.describing.caffe import refuse_other_range
from robust_det.checkpoints.model import Model
from robust_det.checkpoints.model_file import read_model
from robust_det.checkpoints.state_dicts import load_state, with_versions
from robust_det.checkpoints.use import Use
from robust_det.conversion.description import described
from robust_det.conversion.doubts import doubts
from robust_det.conversion.outputs import check_other, check_target
from robust_det.conversion.proof import prove
from robust_det.conversion.targets import write_state_dict
from robust_det.core.errors import UserError, naming
from robust_det.core.files import sha256_file
from robust_det.core.outputs import new_file
from robust_det.models.spelling import COUNTER, spelling

if TYPE_CHECKING:
    from detectron2.modeling import Backbone

__all__ = ["Conversion", "convert"]


@dataclass(frozen=True)
class Conversion:
    """What a conversion did.

    Attributes:
        card: of the written backbone, or of the one that the written tensors would make.
        format: what kind of file the source is.
        num_classes: width of its head; 0 without one.
        differences: on ``random`` and on ``real`` images, the largest relative difference of each
            stage between torchvision's network and Detectron2's.
        use: where in the source the tensors are, and what else it holds.
        notes: what was assumed or changed, what was left out, and what speaks against it.
    """

    card: BackboneCard
    format: str
    num_classes: int
    differences: Mapping[str, Mapping[str, float]]
    use: Use
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
        FileError: unreadable source, or a description that contradicts it.
        UserError: no source, unwritable target, or features that are not the same; see
            :func:`prove`.
    """
    check_other(source, target)
    with naming(source):
        # the user may know the range of its images better
        read = read_model(source, arch, prefix, any_range=True)
        model = described(read, norm, eps, mean, std)
        if not model.described:
            refuse_other_range(model)
    check_target(target, to, overwrite)
    settings = pixel_settings(model.mean, model.std)
    backbone, weights = _built(model, str(source))
    proof = prove(model, backbone, settings, str(source))
    card = BackboneCard(
        arch=model.arch,
        norm=model.norm,
        eps=model.eps,
        pixel_mean=settings[0],
        pixel_std=settings[1],
        input_format=settings[2],
        source_sha256=sha256_file(source),
        differences={
            stage: max(by_images[stage] for by_images in proof.differences.values())
            for stage in proof.differences["random"]
        },
        image_size=model.image_size,
        classes=model.classes,
        source_format=model.format,
    )
    with new_file(Path(target), overwrite):  # somebody else may have written it meanwhile
        _write(target, to, model, weights, card)
    notes = (*model.remarks, *proof.notes, *doubts(model))
    if to != "detectron2" and not model.num_classes:
        notes = (*notes, f"there is no head: {to} loads the file with strict=False")
    return Conversion(card, model.format, model.num_classes, proof.differences, model.use, notes)


def _write(
    target: str | Path,
    to: str,
    model: Model,
    weights: Mapping[str, torch.Tensor],
    card: BackboneCard,
) -> None:
    spelled = _spelled(model, to)
    if to == "detectron2":
        rest = {name: tensor for name, tensor in spelled.items() if name not in weights}
        write_backbone(target, weights, card, rest)
        return
    if to == "torchvision":
        own = model.body().state_dict()
        # older files lack the counters, and torchvision insists on them beside its versions
        counters = {name: own[name] for name in own if COUNTER in name}
        spelled = with_versions({**counters, **spelled}, own)
        if Path(target).suffix == ".safetensors":
            _refuse_unversioned(model)
    write_state_dict(target, spelled, card)


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


def _spelled(model: Model, library: str) -> dict[str, torch.Tensor]:
    return spelling(model.arch, library).write(model.state)


def _built(model: Model, source: str) -> tuple[Backbone, dict[str, torch.Tensor]]:
    """Return the Detectron2 backbone, sharing memory with the model, and its tensors."""
    with torch.device("meta"):
        backbone = build_backbone(model.arch, norm="FrozenBN")
    whole, own = _spelled(model, "detectron2"), backbone.state_dict()
    weights = {name: whole[name] for name in own if name in whole}
    load_state(backbone, weights, source, assign=True)
    return backbone, weights
