"""Objects, classes and functions stay names."""

from __future__ import annotations

import argparse
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from robust_det.checkpoints.model_file import read_model
from robust_det.checkpoints.reading import Placeholder, read_file
from robust_det.core.errors import UserError

from .files import ROBUSTNESS, TORCH, loaded, write


class Local:
    """A class of this test."""

    def __init__(self) -> None:
        self.values = [1, 2]


def function() -> None:
    """A function of this test."""


HERE = Local.__module__
OBJECTS = {
    "argparse.Namespace": argparse.Namespace(lr=0.1),
    f"{type(Path()).__module__}.PosixPath": Path("x"),  # another module in Python 3.13
    "slice": slice(1),
    "torch.nn.modules.container.Sequential": nn.Sequential(nn.Linear(2, 2)),
    "torch._utils._rebuild_sparse_tensor": torch.eye(2).to_sparse(),
}


@pytest.mark.parametrize("how", TORCH)
@pytest.mark.parametrize("name", OBJECTS)
def test_other_objects_stay_placeholders(name: str, how: Any, path: Path) -> None:
    write(path, {"odd": OBJECTS[name], "epoch": 3, "w": torch.ones(2)}, how)
    file = read_file(path)
    assert isinstance(file.value["odd"], Placeholder)
    assert file.value["odd"].name in file.foreign
    assert file.value["odd"].name.removeprefix("__builtin__.").removeprefix("builtins.") == name
    assert file.value["epoch"] == 3 and loaded(file.value["w"]).tolist() == [1, 1]


@pytest.mark.parametrize("protocol", range(6))
def test_a_class_that_only_this_process_knows(protocol: int, path: Path) -> None:
    data = pickle.dumps({"odd": Local(), "epoch": 3}, protocol)
    path.write_bytes(data.replace(HERE.encode(), b"x" * len(HERE)))
    file = read_file(path)
    assert isinstance(file.value["odd"], Placeholder) and file.value["epoch"] == 3
    # the oldest protocols call a function that makes it
    expected = "x" * len(HERE) + ".Local" if protocol > 1 else "copy_reg._reconstructor"
    assert file.foreign == (expected,)


def test_functions_and_types_are_names_that_nobody_looks_up(path: Path) -> None:
    content = {"f": function, "t": float, "d": torch.float32, "device": torch.device("cuda:1")}
    write(path, content)
    file = read_file(path)
    assert file.foreign == () and file.value["device"] == "cuda:1"
    assert [file.value[key].name for key in "ftd"] == [
        f"{HERE}.function",
        "__builtin__.float",
        "torch.float32",
    ]


def test_bytecode_of_dill_is_not_run() -> None:
    file = read_file(ROBUSTNESS / "dill_python37.pt")
    assert {"dill._dill._create_function", "dill._dill._create_code"} & set(file.foreign)
    assert isinstance(file.value["args"], Placeholder)
    assert isinstance(file.value["model"], dict)


@pytest.mark.parametrize("how", TORCH)
@pytest.mark.filterwarnings("ignore")  # torch means to give them up
def test_a_quantised_tensor_does_not_hide_the_rest(how: Any, path: Path) -> None:
    odd = [
        torch.quantize_per_tensor(torch.ones(3), 0.1, 0, dtype)
        for dtype in (torch.qint8, torch.quint8, torch.qint32)
    ]
    write(path, {"odd": odd, "w": torch.ones(2)}, how)
    file = read_file(path)
    assert file.foreign == ("torch._utils._rebuild_qtensor",)
    assert loaded(file.value["w"]).tolist() == [1, 1]


def test_a_tensor_that_was_pickled_without_torch_is_a_placeholder(path: Path) -> None:
    write(path, {"w": torch.ones(2), "epoch": 3}, ("pickle", 4))
    file = read_file(path)
    assert file.foreign == ("torch.storage._load_from_bytes",)
    assert isinstance(file.value["w"], Placeholder) and file.value["epoch"] == 3
    with pytest.raises(UserError, match=r"class torch.storage._load_from_bytes.*not rebuilt"):
        read_model(path)


def test_a_whole_network_is_named(path: Path) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    write(path, network)
    file = read_file(path)
    assert isinstance(file.value, Placeholder)
    assert {
        "torch.nn.modules.container.Sequential",
        "torch.nn.modules.conv.Conv2d",
        "torch.nn.modules.batchnorm.BatchNorm2d",
    } <= set(file.foreign)
    with pytest.raises(UserError, match=r"Sequential.*not rebuilt.*save the network's state_dict"):
        read_model(path)
