"""What a file says beside its tensors: threat model, normalisation, classes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from robust_det.attacks import NORMS
from robust_det.checkpoints.backbone_file import CARD_KEY, BackboneCard, card_of
from robust_det.checkpoints.describing.caffe import refuse_caffe
from robust_det.checkpoints.describing.claims import contradicting
from robust_det.checkpoints.describing.normalisation import find_normalisation
from robust_det.checkpoints.describing.said import Said, what_it_says
from robust_det.checkpoints.describing.strides import other_strides
from robust_det.checkpoints.model import Model
from robust_det.checkpoints.pretrained import FORMAT, PRETRAINING, card_of_pretraining, validated_in
from robust_det.checkpoints.recognising.accounting import Beside
from robust_det.checkpoints.recognising.choice import quoted
from robust_det.core.errors import FileError
from robust_det.models.registry import member_named

__all__ = ["card_in", "objects_left_out", "said_arch", "with_facts"]


def card_in(metadata: Mapping[str, str]) -> dict[str, Any] | None:
    """Return the card that a conversion leaves in the metadata of a safetensors file.

    Raises:
        FileError: it is damaged.
    """
    if "source_sha256" not in metadata:
        return None
    texts = ("arch", "norm", "input_format", "source_sha256", "source_format")
    try:
        card = {k: v if k in texts else json.loads(v) for k, v in metadata.items() if k != "format"}
    except (ValueError, RecursionError) as error:
        raise FileError("has a damaged description", "convert again") from error
    return {CARD_KEY: card}


def said_arch(value: Any) -> str | None:
    """Return the architecture of a file that carries a card."""
    if not isinstance(value, dict):
        return None
    card = value.get("meta" if value.get("format") == FORMAT else CARD_KEY)
    return card.get("arch") if isinstance(card, dict) else None


def objects_left_out(foreign: Sequence[str]) -> list[str]:
    """Say so if a file holds objects, by the names of their classes or of what makes them."""
    if not foreign:
        return []
    more = f" and {len(foreign) - 3} more" if len(foreign) > 3 else ""
    return [f"objects were left out, and nothing of them was run: {', '.join(foreign[:3])}{more}"]


def with_facts(
    model: Model, beside: Beside, value: Any, arch: str | None = None, prefix: str | None = None
) -> Model:
    """Add what the file says beside its tensors.

    Args:
        model: what was read.
        beside: where it was found, and what else there is.
        value: the file's content.
        arch, prefix: what the user says, who knows better than the file.

    Raises:
        FileError: it says something that cannot be, or that it is another network.
    """
    try:
        model = _with_facts(model, beside, value, arch, prefix)
        _check(model)
    except FileError:
        raise
    except Exception as error:  # a file can say anything of itself
        raise FileError("has a damaged description") from error
    return model


def _check(model: Model) -> None:
    right = (
        len(model.mean) == len(model.std) == 3
        and all(0 <= value <= 1 for value in model.mean)
        and all(0 < value <= 1 for value in model.std)
        and model.norm in ("", *NORMS)
        and (model.eps is None or 0 <= model.eps < math.inf)
        and isinstance(model.image_size, int)
        and model.image_size > 0
        and all(isinstance(name, str) for name in model.classes)
    )
    if not right:
        raise ValueError


def _with_facts(
    model: Model, beside: Beside, value: Any, arch: str | None, prefix: str | None
) -> Model:
    if isinstance(value, dict) and value.get("format") == FORMAT:
        return _of_pretraining(model, value)
    if isinstance(value, dict) and (card := card_of(value)) is not None:
        return _of_conversion(model, card, value)
    found, said = beside.found, what_it_says(value)
    claims = _claims(said, found.arch, arch)
    otherwise = list(other_strides(found.arch, said))
    if arch is None and prefix is None:
        beside.check()
        if otherwise:
            raise FileError(
                f"says of its {found.arch} that it {otherwise[0]}, which no tensor shows",
                f"take a plain one, or have it without, with --arch {found.arch}",
            )
    claims += [f"the file says that it {what}, and a {found.arch} does not" for what in otherwise]
    refuse_caffe(model, said)
    normalisation = find_normalisation(found, value, said)
    notes = [*model.notes, *_averages(beside, prefix), *claims]
    notes += filter(None, [normalisation.note])
    if normalisation.name.endswith("new_mean"):
        kind = "robustness checkpoint"
    elif found.is_moco:
        kind = "MoCo checkpoint"
    elif found.library == "detectron2":
        kind = "Detectron2 weights"
        # Detectron2's own conversion of torchvision's files names torchvision as their author
        if not (isinstance(value, dict) and value.get("__author__") == "torchvision"):
            notes.append(
                "the file does not say where the network strides, nor the order of its channels;"
                " torchvision's way is assumed (the 3x3 convolutions, RGB)"
            )
    elif found.container and found.library == "torchvision":
        kind = f"checkpoint ({found.container}) in torchvision's names"
    else:
        kind = f"state dict in {found.library}'s names"
    return replace(
        model,
        format=kind,
        mean=normalisation.mean,
        std=normalisation.std,
        notes=tuple(notes),
        assumed="" if normalisation.name else normalisation.note,
    )


def _claims(said: Said, found: str, arch: str | None) -> list[str]:
    """Refuse what the file says is another network, or say so if the user knows better."""
    claims = list(contradicting(said, found))
    if claims and arch is None:
        member = member_named(claims[0].name)
        meant = f", or what it says with --arch {member}" if member else ""
        raise FileError(
            f"says that it is a {claims[0].name} ({claims[0].where}), and its tensors are those of"
            f" a {found}, which may compute something else",
            f"take weights of a {found}, or say that it is one with --arch {found}{meant}",
        )
    return [f"the file says that it is a {c.name} ({c.where}), and --arch {found}" for c in claims]


def _averages(beside: Beside, prefix: str | None) -> list[str]:
    if prefix is not None or not beside.averages:
        return []
    return [
        f"what the file has of averaged weights at {quoted(beside.averages)} is no whole"
        f" {beside.found.arch}, as averages of parameters without running statistics are not; the"
        f" weights at '{beside.found.place}' are used, which are not averaged"
    ]


def _of_conversion(model: Model, card: BackboneCard, value: Mapping[str, Any]) -> Model:
    _agree(model.arch, card.arch)
    notes = model.notes
    if "model" not in value:
        kind = "converted state dict"
    elif value.get("matching_heuristics"):
        kind = "converted backbone"
    else:
        kind = "detector"
        if card.eps is not None:
            notes = (*notes, "a detector was fine-tuned: norm and eps are of its pretraining")
    return replace(
        model,
        format=kind,
        notes=notes,
        norm=card.norm,
        eps=card.eps,
        mean=tuple(v / 255 for v in card.pixel_mean),
        std=tuple(v / 255 for v in card.pixel_std),
        image_size=card.image_size,
        described=True,
        # what was trained further is no conversion of it
        source_sha256="" if kind == "detector" else card.source_sha256,
        classes=card.classes if len(card.classes) == model.num_classes else (),
    )


def _of_pretraining(model: Model, value: Mapping[str, Any]) -> Model:
    card = card_of_pretraining(value)
    _agree(model.arch, card.arch)
    kind, notes = PRETRAINING, model.notes
    if "transfer" in value:
        kind = "transferred classifier"
        if card.eps is not None:
            notes = (
                *notes,
                "a classifier was transferred: norm and eps are of its backbone's pretraining",
            )
    return replace(
        model,
        format=kind,
        notes=notes,
        norm=card.norm,
        eps=card.eps,
        mean=card.mean,
        std=card.std,
        image_size=card.image_size,
        described=True,
        classes=card.classes,
        validated=validated_in(value) if "transfer" not in value else None,
    )


def _agree(found: str, said: str) -> None:
    if not isinstance(said, str):  # the text of nested lists can be endless
        raise ValueError
    if found != said:
        raise FileError(f"says that it is {said}, but its tensors are those of {found}")
