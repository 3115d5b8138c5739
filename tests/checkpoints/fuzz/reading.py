"""Reading a file as the toolkit does, and looking at all that comes out."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from robust_det.checkpoints.model import Model
from robust_det.checkpoints.model_file import read_model
from robust_det.core.errors import UserError
from robust_det.models.spelling import COUNTER
from robust_det.models.stages import tensor_shapes

from .files import WHOLE
from .networks import STATE
from .watch import WATCH

LONGEST_MESSAGE = 1000
# what is expected of a file
READ, REFUSED, EITHER = "read", "refused", "either"


def examine(path: Path) -> Model | str:
    """Read a file; return a network that is whole, or the message of the one error there is."""
    try:
        with WATCH.over(path) as seen:
            model = read_model(path)
    except UserError as error:
        message = str(error)
        assert str(path) in message
        assert message.isprintable() and len(message) < LONGEST_MESSAGE, message[:2000]
        return message
    finally:
        assert seen == [], seen
    shapes = tensor_shapes(model.arch)
    assert {n for n in shapes if COUNTER not in n and not n.startswith("fc.")} <= set(model.state)
    for name, tensor in model.state.items():
        counter = COUNTER in name
        assert tensor.dtype == (torch.int64 if counter else torch.float32), name
        assert tensor.isfinite().all(), name
        shape = shapes[name]
        if name.startswith("fc."):
            shape = (model.num_classes, *shape[1:])
        assert tensor.shape == shape, name
    for part in (model.mean, model.std):
        assert len(part) == 3 and all(np.isfinite(v) for v in part)
    assert min(model.std) > 0
    model.body()
    return model


def examine_bytes(path: Path, data: bytes) -> Model | str:
    # a new file each time: what was read from the last one may still be mapped
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    return examine(path)


def same(model: Model | str, state: Mapping[str, torch.Tensor]) -> bool:
    """Whether a result is a network of these very values."""
    return (
        isinstance(model, Model)
        and model.state.keys() == state.keys()
        and all(torch.equal(model.state[name], tensor) for name, tensor in state.items())
    )


def warm_up(path: Path) -> None:
    """Let Python import what it does at the first use."""
    for name in ("cp437", "raw_unicode_escape", "unicode_escape"):
        codecs.lookup(name)  # of names in an archive, of texts in a pickle
    assert same(examine_bytes(path, WHOLE["zip"]), STATE)
    assert isinstance(examine_bytes(path, b"?"), str)
