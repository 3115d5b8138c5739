"""Reading a model from a file of any known format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from robust_det.checkpoints.backbone_file import CARD_KEY
from robust_det.checkpoints.describing.caffe import refuse_other_range
from robust_det.checkpoints.describing.facts import (
    card_in,
    objects_left_out,
    said_arch,
    with_facts,
)
from robust_det.checkpoints.model import Model
from robust_det.checkpoints.pretrained import FORMAT, PRETRAINING
from robust_det.checkpoints.reading import Placeholder, load_tensor, read_file
from robust_det.checkpoints.recognising.accounting import account
from robust_det.checkpoints.recognising.causes import cause_of_objects
from robust_det.checkpoints.recognising.choice import Found, quoted
from robust_det.checkpoints.recognising.recognise import (
    NoTensorsError,
    NothingFoundError,
    recognise,
)
from robust_det.core.errors import FileError, naming, one_line
from robust_det.models import get_architecture
from robust_det.models.spelling import AUXILIARY, COUNTER, spelling

__all__ = ["NetworkFile", "read_model"]

_FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class NetworkFile:
    """A file, and what was said of which network in it is meant; see :func:`read_model`."""

    path: Path
    arch: str | None = None
    prefix: str | None = None

    def read(self, *, any_range: bool = False) -> Model:
        """See :func:`read_model`."""
        return read_model(self.path, self.arch, self.prefix, any_range=any_range)


def read_model(
    path: str | Path,
    arch: str | None = None,
    prefix: str | None = None,
    *,
    any_range: bool = False,
) -> Model:
    """Read a network from a file of any known format.

    Args:
        path: the file.
        arch: registry name, if the file leaves it open, or calls it something else.
        prefix: where in the file, if it holds several networks.
        any_range: do not ask whether the network was trained on images of the mean and std that
            are assumed, since others are to be used.

    Raises:
        FileError: unreadable, unknown, ambiguous, damaged, or of a network that would compute
            something else here.
        UserError: no such file, or no such architecture.
    """
    with naming(path):
        model = _read_model(path, arch, prefix)
        if not any_range and not model.described:
            refuse_other_range(model)
    # they quote names of the file, which could be commands to a terminal
    return replace(
        model,
        format=one_line(model.format),
        notes=tuple(map(one_line, model.notes)),
        assumed=one_line(model.assumed),
        head_note=one_line(model.head_note),
        use=model.use.printable(),
    )


def _read_model(path: str | Path, arch: str | None, prefix: str | None) -> Model:
    content = read_file(path)
    value = content.value
    facts = card_in(content.metadata) or value
    if isinstance(value, dict) and value.get("format") == FORMAT:
        value = _chosen_weights(value)
    if isinstance(value, dict) and CARD_KEY in value and isinstance(value.get("rest"), dict):
        value = {**value, "model": _joined(value)}
    modules = [name for name in content.foreign if name.startswith("torch.nn.modules")]
    try:
        found = recognise(value, arch, prefix, said_arch(facts))
    except NothingFoundError as error:
        if modules or (content.foreign and isinstance(error, NoTensorsError)):
            if cause := cause_of_objects(content.foreign):
                raise FileError(*cause) from error
            inside = value.values() if isinstance(value, dict) else [value]
            names = [v.name for v in inside if isinstance(v, Placeholder)]
            raise FileError(
                f"holds an object of class {(names or modules or content.foreign)[0]}, which is not"
                " rebuilt, since that would run code",
                "save the network's state_dict() instead",
            ) from error
        raise
    state, notes = _values(found)
    head = _head(found)
    notes = (*_choice(found), *notes, *filter(None, [head]), *_within(found))
    notes = (*notes, *objects_left_out(content.foreign))
    beside = account(found, value)
    size = get_architecture(found.arch).image_size or Model.image_size
    model = Model(
        found.arch, state, "", image_size=size, notes=notes, head_note=head, use=beside.use
    )
    return with_facts(model, beside, facts, arch, prefix)


def _chosen_weights(value: dict[Any, Any]) -> dict[Any, Any]:
    """Return the averaged weights of an in-repo checkpoint, if it has any, and nothing else."""
    key = "ema" if value.get("ema") else "model"
    if not isinstance(value.get(key), dict):
        raise FileError(f"is not a {PRETRAINING}")
    return {key: value[key]}


def _joined(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a backbone file's tensors with the head that it keeps beside them."""
    model = value.get("model")
    return {**(model if isinstance(model, dict) else {}), **value["rest"]}


def _values(found: Found) -> tuple[dict[str, torch.Tensor], tuple[str, ...]]:
    """Load the tensors, as float32, and check them."""
    state: dict[str, torch.Tensor] = {}
    converted: set[torch.dtype] = set()
    for name, lazy in found.tensors.items():
        if get_architecture(found.arch).in_head(name) and not found.classifies:
            continue
        tensor = load_tensor(lazy, name)
        if COUNTER in name:
            # nothing depends on it, and a network without gets 0
            if tensor.numel() == 1 and not tensor.is_floating_point() and not tensor.is_complex():
                state[name] = tensor.reshape(()).long()
            continue
        if tensor.dtype not in _FLOATS:
            raise FileError(
                f"has {name} in {_plain(tensor.dtype)}, which are no weights; quantised networks"
                " are not read"
            )
        if tensor.dtype != torch.float32:
            converted.add(tensor.dtype)
            tensor = tensor.float()
        if not bool(torch.isfinite(tensor).all()):
            count = int((~torch.isfinite(tensor)).sum())
            raise FileError(
                f"is damaged or diverged: {count} of {tensor.numel()} values of {name} are NaN or"
                " Inf",
                "take an earlier checkpoint",
            )
        shape = found.shapes[name]
        state[name] = tensor.reshape(-1, *shape[1:]).contiguous() if shape else tensor
    notes = []
    if converted:
        kinds = ", ".join(sorted(map(_plain, converted)))
        notes.append(f"weights are {kinds} in the file and were converted to float32")
    return state, tuple(notes)


def _choice(found: Found) -> list[str]:
    """Say so if there are other copies of the network."""
    if not found.copies:
        return []
    others = quoted(copy.place for copy in found.copies)
    what = "averaged weights" if found.is_averaged else "weights"
    return [
        f"the {what} at '{found.place}' are used, not those at {others}, which --prefix chooses"
    ]


def _head(found: Found) -> str:
    """Say so if there is a head, but not quite the architecture's; else nothing."""
    head = f"{get_architecture(found.arch).head}.weight"
    weight = found.prefix + spelling(found.arch, found.library).names[head]
    inside = [name for name in found.beside if name.startswith(weight.removesuffix("weight"))]
    if found.has_head and not found.classifies:
        return "the head is MoCo's projection, not a classifier, and was left out"
    if found.has_head and weight not in found.beside:
        layer = inside[0].rpartition(".")[0]
        return f"the head is {layer}; what else its sequence has is taken for dropout"
    if inside and not found.has_head:
        return f"the head ({inside[0]}, ...) is not one of {found.arch} and was left out"
    return ""


def _within(found: Found) -> list[str]:
    """Say what was left out from within the network, and what its spelling leaves open."""
    notes = []
    inside = (n for n in found.beside if n.startswith(found.prefix))
    if extra := [n for n in inside if AUXILIARY.search(n)]:
        more = f" and {len(extra) - 1} more" if len(extra) > 1 else ""
        notes.append(f"{extra[0]}{more}, which evaluation does not use, were left out")
    layout = get_architecture(found.arch).layout
    if found.library == "Hugging Face" and layout and layout.bottleneck:
        notes.append(
            "the file does not say downsample_in_bottleneck; false is assumed, the default: the 3x3"
            " convolutions stride"
        )
    return notes


def _plain(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
