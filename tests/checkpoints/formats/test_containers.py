"""Networks in tuples, lists and objects that are dictionaries: nothing of the objects runs."""

from __future__ import annotations

import argparse
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from robust_det.checkpoints.model_file import read_model
from robust_det.checkpoints.recognising import dictionaries
from robust_det.core.errors import UserError

from .networks import same_tensors, torchvision_network


class EasyDict(dict[Any, Any]):
    """Reads its keys as attributes, as several libraries' do."""

    def __init__(self, **values: Any) -> None:
        super().__init__(values)
        self.__dict__.update(values)


class Models(list[Any]):
    """A subclass of list."""


class Trained(NamedTuple):
    """A subclass of tuple."""

    step: int
    weights: Any


class Frozen:
    """Is made of a dictionary, which it keeps to itself."""

    def __init__(self, values: Any) -> None:
        self.__values = values

    def __reduce__(self) -> Any:
        return Frozen, (self.__values,)


@pytest.fixture(scope="module")
def state() -> Any:
    return torchvision_network("resnet10_narrow").state_dict()


@pytest.mark.parametrize(
    "wrap, place",
    [
        (lambda state: (state, 10), "0"),
        (lambda state: [{}, 3, {"model": state}], "2.model"),
        (lambda state: {"models": [state]}, "models.0"),
        (lambda state: EasyDict(net=EasyDict(**state)), "net"),
        (lambda state: {"all": Models([state])}, "all.0"),
        (lambda state: Trained(3, EasyDict(**state)), "0"),
        (lambda state: {"params": Frozen(state)}, "params.0"),
        (lambda state: argparse.Namespace(epoch=1, model=state), "model"),
        (lambda state: OrderedDict(a=defaultdict(dict, b=state)), "a.b"),
        # what is many does not hide what is deep
        (
            lambda state: {"log": [{"loss": 0.5}] * 10 + [{} for _ in range(3000)], "a": [state]},
            "a.0",
        ),
    ],
)
@pytest.mark.parametrize("legacy", [False, True])
def test_where_a_network_may_be(
    path: Path, state: Any, wrap: Any, place: str, legacy: bool
) -> None:
    torch.save(wrap(state), path, _use_new_zipfile_serialization=not legacy)
    model = read_model(path)
    assert model.format == f"checkpoint ({place}) in torchvision's names"
    same_tensors(dict(model.state), dict(state))
    # the place is one that --prefix takes
    same_tensors(dict(read_model(path, prefix=place).state), dict(state))


def test_too_many_tensors_are_said_to_be(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dictionaries, "_MAX_NAMES", 20)
    torch.save({f"{i}.weight": torch.zeros(()) for i in range(21)}, path)
    with pytest.raises(UserError, match="holds more than 20 tensors by name, which are not"):
        read_model(path)
