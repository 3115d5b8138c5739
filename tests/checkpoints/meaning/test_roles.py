"""Copies of a network: what each is for is told by who wrote the file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from .files import is_of, named


@pytest.fixture
def average(network: Callable[..., Any]) -> Any:
    return network(1)


@pytest.fixture
def raw(network: Callable[..., Any]) -> Any:
    return network(2)


@pytest.mark.parametrize("mark", [{"meta": {"mmengine_version": "0.10.4"}}, {"message_hub": {}}])
def test_mmengine_swaps_the_average_into_the_state_dict(
    average: Any, raw: Any, read: Callable[..., Any], mark: Any
) -> None:
    content = {
        **mark,
        "state_dict": named("backbone.", average),
        "ema_state_dict": {"steps": torch.tensor(9), **named("module.backbone.", raw)},
    }
    model = read(content)
    assert is_of(model, average) and model.notes[0] == (
        "the averaged weights at 'state_dict/backbone.' are used, not those at"
        " 'ema_state_dict/module.backbone.', which --prefix chooses"
    )
    assert is_of(read(content, prefix="ema_state_dict/module.backbone."), raw)


@pytest.mark.parametrize("averaged", [0, 40])
def test_lightning_swaps_as_well_once_it_has_averaged(
    average: Any, raw: Any, read: Callable[..., Any], averaged: int
) -> None:
    content = {
        "state_dict": named("model.", average),
        "current_model_state": named("model.", raw),
        "averaging_state": {"n_averaged": torch.tensor(averaged)},
    }
    # before that, its average is what training started from
    model = read(content)
    assert is_of(model, average if averaged else raw)
    assert "current_model_state" in model.notes[0]


def test_an_average_in_the_making_is_not_used(
    average: Any, raw: Any, read: Callable[..., Any]
) -> None:
    swa = {"n_averaged": torch.tensor(2), "average_model_state": named("model.", average)}
    callbacks = {"StochasticWeightAveraging": swa}
    model = read({"state_dict": named("model.", raw), "callbacks": callbacks})
    assert is_of(model, raw) and "'callbacks.StochasticWeightAveraging" in model.notes[0]


def test_an_unmarked_dictionary_of_averages_is_what_it_says(
    average: Any, raw: Any, read: Callable[..., Any]
) -> None:
    content = {"state_dict": raw.state_dict(), "ema_state_dict": average.state_dict()}
    assert is_of(read(content), average)


def parameters(network: Any) -> dict[str, Any]:
    return {name: value.detach() for name, value in network.named_parameters()}


@pytest.mark.parametrize(
    "beside, place",
    [
        (lambda net: {"ema": parameters(net)}, "ema"),
        (lambda net: {"ema": {"decay": 0.99, "shadow": parameters(net)}}, "ema.shadow"),
        (lambda net: {"ema": {"shadow_params": [*parameters(net).values()]}}, "ema.shadow_params"),
    ],
)
def test_averages_of_parameters_alone_are_not_passed_over_in_silence(
    average: Any, raw: Any, read: Callable[..., Any], beside: Any, place: str
) -> None:
    content = {"model": raw.state_dict(), **beside(average)}
    model = read(content)
    assert is_of(model, raw) and f"averaged weights at '{place}' is no whole" in model.notes[0]
    assert [part.place for part in model.use.left_out] == [place]
    assert read(content, prefix="model/").notes[0].startswith("the file does not say")


def test_averages_within_the_same_dictionary(
    average: Any, raw: Any, read: Callable[..., Any]
) -> None:
    """As Stable Diffusion's class keeps them: names without dots."""
    flat = {f"model_ema.{n.replace('.', '')}": p for n, p in parameters(average).items()}
    model = read({"state_dict": named("model.", raw) | flat})
    assert is_of(model, raw) and "at 'state_dict/model_ema' is no whole" in model.notes[0]


def test_the_teacher_of_dino_is_what_is_used(average: Any, raw: Any, read: Any) -> None:
    content = {
        "teacher": named("backbone.", average) | {"head.mlp.0.weight": torch.rand(9, 128)},
        "student": named("module.backbone.", raw)
        | {"module.head.mlp.0.weight": torch.rand(9, 128)},
        "dino_loss": {"center": torch.rand(1, 9)},
    }
    assert is_of(read(content), average)
    joined = {
        f"{role}.{name}": tensor
        for role in ("teacher", "student")
        for name, tensor in content[role].items()
    }
    assert is_of(read({"model": joined, "dino_loss": content["dino_loss"]}), average)


def test_a_teacher_of_an_equal_student_is_not(
    average: Any, raw: Any, read: Callable[..., Any], refused: Callable[..., str]
) -> None:
    both = {"state_dict": named("student.backbone.", raw) | named("teacher.backbone.", average)}
    answer = refused(both)
    for place in ("state_dict/student.backbone.", "state_dict/teacher.backbone."):
        assert f"'{place}'" in answer
    assert answer.endswith("choose with --prefix 'state_dict/student.backbone.'")
    assert is_of(read(both, prefix="state_dict/student.backbone."), raw)


@pytest.mark.parametrize(
    "online, target",
    [
        ("online_encoder.net.", "target_encoder.net."),  # BYOL
        ("backbone.", "target_net.0."),  # OpenMMLab's
        ("backbone.", "momentum_backbone."),  # solo-learn
        ("backbone.", "backbone_momentum."),  # lightly
    ],
)
def test_the_network_that_a_target_follows_is_used(
    average: Any, raw: Any, read: Callable[..., Any], online: str, target: str
) -> None:
    model = read(named(target, average) | named(online, raw))
    assert is_of(model, raw) and f"not those at '{target}'" in model.notes[0]


def test_two_architectures_are_named_with_their_places(
    network: Callable[..., Any], refused: Callable[..., str], read: Callable[..., Any]
) -> None:
    student, teacher = network(), network(arch="shufflenet_v2_x1_0")
    both = {"state_dict": named("student.", student) | named("teacher.", teacher)}
    assert refused(both) == (
        "could be resnet10_narrow or shufflenet_v2_x1_0, which are at 'state_dict/student.',"
        " 'state_dict/teacher.'; say which with --arch resnet10_narrow"
    )
    assert is_of(read(both, arch="resnet10_narrow"), student)
