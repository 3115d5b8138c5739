"""The project's own checkpoints are read strictly, and whole."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from robust_det.checkpoints.io import load_checkpoint
from robust_det.core.errors import UserError

from .files import TORCH, checkpoint, damage, write


@pytest.mark.parametrize(
    "odd", [argparse.Namespace(a=1), {"deep": [{"er": (1, Path("x"))}]}, np.array(["a"])]
)
def test_what_is_not_rebuilt_is_refused(odd: Any, path: Path) -> None:
    write(path, {"model": {}, "odd": odd})
    with pytest.raises(UserError, match=r"objects that could run code.*nothing was executed"):
        load_checkpoint(path)


@pytest.mark.parametrize("odd", [print, {"a": [int]}, {print: 1}, {print}])
def test_names_of_functions_are_refused_too(odd: Any, path: Path) -> None:
    write(path, {"model": {}, "odd": odd})
    with pytest.raises(UserError, match=r"truncated or not a checkpoint|could run code"):
        load_checkpoint(path)


@pytest.mark.parametrize("content", [[1], torch.ones(2), "text"])
def test_what_is_no_dictionary_is_refused(content: Any, path: Path) -> None:
    write(path, content)
    with pytest.raises(UserError, match=r"holds a \w+, not a dictionary"):
        load_checkpoint(path)


def test_one_tensor_under_two_names_stays_one(path: Path) -> None:
    base = torch.arange(6.0)
    write(path, {"a": base, "inner": [{"b": base}], "c": base[2:]})
    content = load_checkpoint(path)
    assert content["a"] is content["inner"][0]["b"]
    assert content["c"].tolist() == [2, 3, 4, 5]
    content["a"][3] = -1
    assert content["c"].tolist() == [2, 3, 4, 5]


@pytest.mark.parametrize("how", TORCH)
def test_a_checkpoint_is_in_memory_once_it_is_read(how: Any, path: Path) -> None:
    content = checkpoint()
    write(path, content, how)
    read = load_checkpoint(path)
    length = path.stat().st_size
    with open(path, "r+b") as file:  # in place, where a map would show it
        file.write(b"\xff" * length)
    path.unlink()
    for name, tensor in content["state_dict"].items():
        assert torch.equal(read["state_dict"][name], tensor), name
        assert read["state_dict"][name].untyped_storage().nbytes() == tensor.nbytes
    assert read["optimizer"]["state"][0]["momentum_buffer"].sum() == 1000


def test_what_is_left_out_may_be_damaged(path: Path) -> None:
    content = checkpoint()
    write(path, content)
    damage(path, f"data/{len(content['state_dict'])}")
    with pytest.raises(UserError, match="truncated or not a checkpoint"):
        load_checkpoint(path)
    assert load_checkpoint(path, leave_out=["optimizer"]).keys() == {"state_dict"}
