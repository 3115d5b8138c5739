"""Any checkpoint as a model: its tensors in torchvision's names, and what the file says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from robust_det.checkpoints.backbone_file import CARD_KEY, card_of
from robust_det.checkpoints.names import COUNTER
from robust_det.checkpoints.pretrained import FORMAT, card_of_pretraining, load_state
from robust_det.checkpoints.reading import LazyTensor, Placeholder, read_file
from robust_det.checkpoints.recognise import Found, NothingFoundError, recognise
from robust_det.errors import UserError
from robust_det.models import IMAGENET_MEAN, IMAGENET_STD, Classifier, ModelCard, get_architecture

__all__ = ["Model", "read_model"]

_IMAGE_SIZE = 224  # of ImageNet's crops, where a file does not say
_FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Model:
    """A network that was read.

    Attributes:
        arch: registry name.
        state: its tensors in torchvision's names, float32; without a head if the file has none.
        format: what kind of file it was, for people.
        norm, eps: threat model of its training, eps in [0, 1] pixel units, 0 for standard
            training; empty and None if the file does not say.
        mean, std: of the normalisation, RGB in [0, 1].
        image_size: side of the training crops in pixels.
        classes: their names, empty if unknown.
        notes: what was assumed or changed, one sentence each.
    """

    arch: str
    state: Mapping[str, torch.Tensor]
    format: str
    norm: str = ""
    eps: float | None = None
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    image_size: int = _IMAGE_SIZE
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def num_classes(self) -> int:
        """The width of the classification head; 0 without one."""
        head = self.state.get(f"{get_architecture(self.arch).head}.weight")
        return 0 if head is None else len(head)

    @property
    def card(self) -> ModelCard:
        """What is known about it, without its tensors."""
        return ModelCard(
            self.arch, self.norm, self.eps, self.mean, self.std, self.image_size, self.classes
        )

    def body(self) -> nn.Module:
        """Return torchvision's network in eval mode, sharing memory with :attr:`state`.

        Without a head in the file, the network's is on the meta device and cannot run.
        """
        with torch.device("meta"):
            body = get_architecture(self.arch).build(self.num_classes or 1)
        own, state = body.state_dict(), dict(self.state)
        for name in own.keys() - state.keys():
            if COUNTER in name:
                state[name] = torch.zeros((), dtype=torch.int64)
            elif not self.num_classes and get_architecture(self.arch).in_head(name):
                state[name] = own[name]
        load_state(body, state, "the file", assign=True)
        return body.eval()

    def classifier(self) -> Classifier:
        """Return the classifier, images in [0, 1] in and logits out, in eval mode.

        Raises:
            UserError: the file has no classification head.
        """
        if not self.num_classes:
            raise UserError(
                f"these weights of {self.arch} have no classification head ({self.format});"
                " they can be a backbone, but not a classifier"
            )
        classifier = Classifier(self.body(), self.mean, self.std).eval()
        classifier.card = self.card
        return classifier


def read_model(path: str | Path, arch: str | None = None, prefix: str | None = None) -> Model:
    """Read a network from a file of any known format.

    Args:
        path: the file.
        arch: registry name, if the file leaves it open; must agree with what the file says.
        prefix: where in the file, if it holds several networks.

    Raises:
        UserError: unreadable, unknown, ambiguous, or damaged.
    """
    content = read_file(path)
    value, source = content.value, str(path)
    if isinstance(value, dict) and value.get("format") == FORMAT:
        value = _chosen_weights(value, source)
    if isinstance(value, dict) and CARD_KEY in value and isinstance(value.get("rest"), dict):
        value = {**value, "model": _joined(value)}
    modules = [name for name in content.foreign if name.startswith("torch.nn.modules")]
    try:
        found = recognise(value, source, arch, prefix, _said_arch(content.value))
    except NothingFoundError as error:
        if modules or (content.foreign and "no tensors by name" in str(error)):
            inside = value.values() if isinstance(value, dict) else [value]
            names = [v.name for v in inside if isinstance(v, Placeholder)]
            raise UserError(
                f"{source} holds an object of class {(names or modules or content.foreign)[0]},"
                " which is not rebuilt, since that would run code; save the network's state_dict()"
                " instead"
            ) from error
        raise
    state, notes = _values(found, source)
    model = Model(found.arch, state, "", notes=notes)
    return _with_facts(model, found, content.value, source)


def _said_arch(value: Any) -> str | None:
    """Return the architecture of a file that carries a card."""
    if not isinstance(value, dict):
        return None
    card = value.get("meta" if value.get("format") == FORMAT else CARD_KEY)
    return card.get("arch") if isinstance(card, dict) else None


def _chosen_weights(value: dict[Any, Any], source: str) -> dict[Any, Any]:
    """Return the averaged weights of an in-repo checkpoint, if it has any, and nothing else."""
    chosen = value.get("ema") or value.get("model")
    if not isinstance(chosen, dict):
        raise UserError(f"{source} is not a checkpoint of tools/pretrain.py")
    return chosen


def _joined(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a backbone file's tensors with the head that it keeps beside them."""
    model = value.get("model")
    return {**(model if isinstance(model, dict) else {}), **value["rest"]}


def _values(found: Found, source: str) -> tuple[dict[str, torch.Tensor], tuple[str, ...]]:
    """Load the tensors, as float32, and check them."""
    state: dict[str, torch.Tensor] = {}
    converted: set[torch.dtype] = set()
    for name, lazy in found.tensors.items():
        tensor = _load(lazy, name, source)
        if COUNTER in name:
            state[name] = tensor
            continue
        if tensor.dtype not in _FLOATS:
            raise UserError(
                f"{source} has {name} in {_plain(tensor.dtype)}, which are no weights; quantised"
                " networks are not read"
            )
        if tensor.dtype != torch.float32:
            converted.add(tensor.dtype)
            tensor = tensor.float()
        if not bool(torch.isfinite(tensor).all()):
            count = int((~torch.isfinite(tensor)).sum())
            raise UserError(
                f"{source} is damaged or diverged: {count} of {tensor.numel()} values of {name} are"
                " NaN or Inf; take an earlier checkpoint"
            )
        shape = found.shapes[name]
        state[name] = tensor.reshape(-1, *shape[1:]).contiguous() if shape else tensor
    notes = []
    if converted:
        kinds = ", ".join(sorted(map(_plain, converted)))
        notes.append(f"weights are {kinds} in the file and were converted to float32")
    return state, tuple(notes)


def _load(lazy: LazyTensor, name: str, source: str) -> torch.Tensor:
    try:
        return lazy.load()
    except Exception as error:  # damaged bytes make the readers raise almost anything
        raise UserError(f"checkpoint {source} is truncated or damaged at tensor {name}") from error


def _plain(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _with_facts(model: Model, found: Found, value: Any, source: str) -> Model:
    """Add what the file says beside its tensors."""
    if isinstance(value, dict) and value.get("format") == FORMAT:
        return _of_pretraining(model, value, source)
    if isinstance(value, dict) and (card := card_of(value)) is not None:
        _agree(found.arch, card.arch, source)
        return replace(
            model,
            format="converted backbone" if value.get("matching_heuristics") else "detector",
            norm=card.norm,
            eps=card.eps,
            mean=tuple(v / 255 for v in card.pixel_mean),
            std=tuple(v / 255 for v in card.pixel_std),
            image_size=card.image_size,
            classes=card.classes if len(card.classes) == model.num_classes else (),
        )
    if (normaliser := _normaliser(found, source)) is not None:
        kind = "robustness checkpoint" if "new_mean" in normaliser[0] else "state dict"
        return replace(model, format=kind, mean=normaliser[1], std=normaliser[2])
    if found.prefix.endswith("encoder_q."):
        kind = "MoCo checkpoint"
    elif found.library == "detectron2":
        kind = "Detectron2 weights"
    elif found.container and found.library == "torchvision":
        kind = f"checkpoint ({found.container}) in torchvision's names"
    else:
        kind = f"state dict in {found.library}'s names"
    notes = [*model.notes]
    notes.append("the file does not say its normalisation; ImageNet's mean and std are assumed")
    # Detectron2's own conversion of torchvision's files names torchvision as their author
    known = isinstance(value, dict) and value.get("__author__") == "torchvision"
    if kind == "Detectron2 weights" and not known:
        notes.append(
            "the file does not say where the network strides, nor the order of its channels;"
            " torchvision's way is assumed (the 3x3 convolutions, RGB)"
        )
    return replace(model, format=kind, notes=tuple(notes))


def _of_pretraining(model: Model, value: Mapping[str, Any], source: str) -> Model:
    card = card_of_pretraining(value, source)
    _agree(model.arch, card.arch, source)
    return replace(
        model,
        format="checkpoint of tools/pretrain.py",
        norm=card.norm,
        eps=card.eps,
        mean=card.mean,
        std=card.std,
        image_size=card.image_size,
        classes=card.classes,
    )


def _agree(found: str, said: str, source: str) -> None:
    if found != said:
        raise UserError(f"{source} says that it is {said}, but its tensors are those of {found}")


def _normaliser(
    found: Found, source: str
) -> tuple[str, tuple[float, ...], tuple[float, ...]] | None:
    """Return the name of the mean and the values of mean and std, if they stand beside the network.

    The robustness library keeps them in ``normalizer``, RobustBench in ``normalize``.
    """
    base = found.prefix
    while base.endswith("model."):
        base = base.removesuffix("model.")
    for name in ("normalizer.new_", "normalize.new_", "normalizer.", "normalize."):
        mean, std = (found.beside.get(f"{base}{name}{part}") for part in ("mean", "std"))
        if mean is None or std is None:
            continue
        values = []
        for lazy in (mean, std):
            tensor = _load(lazy, f"{base}{name}mean", source).double().flatten()
            if tensor.numel() != 3 or not bool(torch.isfinite(tensor).all()):
                raise UserError(f"{source} has a normalisation of other than three numbers")
            values.append(tuple(round(v, 7) for v in tensor.tolist()))
        if min(values[1]) <= 0:
            raise UserError(f"{source} has a normalisation that divides by {min(values[1])}")
        return f"{base}{name}mean", values[0], values[1]
    return None
