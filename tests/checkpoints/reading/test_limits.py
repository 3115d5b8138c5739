"""What is long is read, or it is said which limit it is above."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from robust_det.checkpoints.reading import load_tensor, read_file
from robust_det.checkpoints.reading.machine import run_pickle
from robust_det.checkpoints.reading.rebuild import FUNCTIONS
from robust_det.core.errors import FileError

from .files import TORCH, back, write

# as torch.save keeps a log: with names that come again, and numbers that do not
LOGS: dict[str, Any] = {
    "losses": [0.5 + i for i in range(4000)],
    "steps": list(range(0, 4_000_000, 1000)),
    "rows": [{"step": i, "loss": i / 7, "lr": 0.1, "epoch": 1} for i in range(300)],
    "columns": {"loss": (0.5,) * 2000, "top1": [None, *map(float, range(2000))]},
}


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("name", LOGS)
def test_five_numbers_count_as_one(name: str, protocol: int) -> None:
    file = io.BytesIO(pickle.dumps(LOGS[name], protocol))
    assert run_pickle(file, FUNCTIONS, longest=1000) == LOGS[name]


@pytest.mark.parametrize("content", [[None] * 1001, [{} for _ in range(900)], [0.5] * 10_100])
def test_what_is_above_the_limit_is_told_so(content: Any) -> None:
    file = io.BytesIO(pickle.dumps(content, 2))
    with pytest.raises(FileError) as caught:
        run_pickle(file, FUNCTIONS, longest=1000)
    assert str(caught.value) == (
        "the file holds more than 1,000 objects beside its tensors' values, which is the limit of"
        " this reader; load it with torch and save the network's state_dict() alone"
    )


@pytest.mark.parametrize("how", TORCH)
def test_tensors_that_repeat_values(how: Any, path: Path) -> None:
    base = torch.arange(6.0).view(2, 3)
    tensors = {
        "one": torch.ones(1).expand(1000),
        "rows": base[:, None].expand(2, 5, 3),
        "windows": torch.arange(9.0).unfold(0, 4, 1),
        "turned": base.T[None].expand(4, 3, 2),
    }
    value = back(path, tensors, how)
    for name, tensor in tensors.items():
        assert torch.equal(value[name], tensor), name
        assert value[name].stride() == tensor.stride(), name


def test_a_tensor_that_repeats_values_without_end(path: Path) -> None:
    # a kilobyte of file could ask for a terabyte of memory
    write(path, {"w": torch.ones(2)[:1].expand(2**38)})
    with pytest.raises(FileError) as caught:
        load_tensor(read_file(path).value["w"], "w")
    assert str(caught.value) == (
        "the file holds a tensor of 274,877,906,944 values that repeats 2, and more than"
        " 16,777,216 are not read; save it without repeating any, or leave it out"
    )
