"""Normalisations beside a network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from robust_det.checkpoints.model_file import read_model
from robust_det.conversion.convert import convert
from robust_det.core.errors import UserError
from robust_det.models import Classifier

from .networks import ASSUMED, IMAGENET, LIMIT, difference, pictures, torchvision_network

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
HALF = (0.5, 0.5, 0.5)


@pytest.fixture
def network(unsettle: Callable[..., Any]) -> Any:
    return unsettle(torchvision_network("resnet10_narrow"))


@pytest.fixture
def write(path: Path, network: Any) -> Callable[..., Any]:
    """Return a function that writes the network as a part, and what is beside it."""

    def run(beside: Any, **outside: Any) -> Any:
        state = {f"net.{n}": t for n, t in network.state_dict().items()}
        torch.save({"state_dict": state | beside, **outside}, path)
        return path

    return run


def same_logits(model: Any, network: Any, mean: Any, std: Any) -> None:
    with torch.no_grad():
        logits = Classifier(network, mean, std).eval()(pictures())
        other = Classifier(network, *IMAGENET).eval()(pictures())
    # so that the normalisation is seen to matter
    assert (other - logits).abs().max() / logits.abs().max() > 100 * LIMIT
    assert difference(model, logits) <= LIMIT


class Normalised(nn.Module):
    """As RobustBench has it."""

    def __init__(self, mean: Any, std: Any) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))

    def forward(self, images: Any) -> Any:
        return (images - self.mean) / self.std


@pytest.mark.parametrize(
    "normalisation, place",
    [
        ("normalize.", "model."),
        ("module.normalize.", "module.model."),
        ("module.0.", "module.1."),
        ("normalize.", "model.module."),
        ("", "model."),
    ],
)
def test_a_normalisation_beside_the_network_is_found(
    path: Path, network: Any, normalisation: str, place: str
) -> None:
    first = Normalised(MEAN, STD)
    with torch.no_grad():
        logits = nn.Sequential(first, network)(pictures())
    state = {f"{normalisation}{n}": t for n, t in first.state_dict().items()}
    state.update({f"{place}{n}": t for n, t in network.state_dict().items()})
    # of other than images
    state.update({"loss.mean": torch.zeros(5), "loss.std": torch.ones(5)})
    torch.save({"state_dict": state}, path)
    model = read_model(path)
    assert (model.mean, model.std, model.notes) == (MEAN, STD, ())
    assert difference(model, logits) <= LIMIT


@pytest.mark.parametrize(
    "names",
    [
        ("0.mean", "0.std"),
        ("normalize.mu", "normalize.sigma"),
        ("normalize.mu", "normalize.std"),
        ("normalize.means", "normalize.stds"),
        ("normalize.means", "normalize.sds"),
        ("normalize._mean", "normalize._std"),
        ("pixel_mean", "pixel_std"),
        ("normalizer.new_mean", "normalizer.new_std"),
    ],
)
@pytest.mark.parametrize("mean, std", [(MEAN, STD), (HALF[:1], (0.25,))])
def test_the_names_of_a_normalisation(
    write: Callable[..., Any], network: Any, names: Any, mean: Any, std: Any
) -> None:
    model = read_model(write(dict(zip(names, map(torch.tensor, (mean, std)), strict=True))))
    mean, std = ((3 // len(values)) * values for values in (mean, std))
    assert (model.mean, model.std, model.notes) == (mean, std, ())
    same_logits(model, network, mean, std)


@pytest.mark.parametrize("form", [tuple, list, torch.tensor, lambda v: torch.tensor(v).numpy()])
def test_a_normalisation_outside_of_the_state_dict(
    write: Callable[..., Any], network: Any, form: Any
) -> None:
    model = read_model(write({}, mean=form(MEAN), std=form(STD)))
    assert (model.mean, model.std, model.notes) == (MEAN, STD, ())
    same_logits(model, network, MEAN, STD)


def test_the_nearest_normalisation_counts(write: Callable[..., Any]) -> None:
    far = {"0.mean": torch.tensor(HALF), "0.std": torch.tensor(HALF)}
    near = {"net.mean": torch.tensor(MEAN), "net.std": torch.tensor(STD)}
    model = read_model(write(far | near, mean=HALF, std=HALF))
    assert (model.mean, model.std) == (MEAN, STD)


def test_a_normalisation_of_pixels_up_to_255_is_divided(
    write: Callable[..., Any], network: Any
) -> None:
    pixels = [255 * torch.tensor(values) for values in (MEAN, STD)]
    model = read_model(write({"0.mean": pixels[0], "0.std": pixels[1]}))
    assert (model.mean, model.std) == (MEAN, STD)
    assert model.notes == (
        "'0.mean' and its std are those of images in [0, 255] and were divided by 255",
    )
    same_logits(model, network, MEAN, STD)


@pytest.mark.parametrize(
    "mean, std",
    [
        ((103.53, 116.28, 123.675), (1.0, 1.0, 1.0)),  # Caffe's
        ((0.4, 0.5, 0.6), (0.2, 0.2, 2.0)),
        ((-0.4, 0.5, 0.6), STD),
        ((400.0, 500.0, 600.0), (51.0, 51.0, 51.0)),
    ],
)
def test_a_normalisation_that_is_not_of_images_in_the_unit_range(
    write: Callable[..., Any], mean: Any, std: Any
) -> None:
    path = write({"0.mean": torch.tensor(mean), "0.std": torch.tensor(std)})
    with pytest.raises(UserError) as caught:
        read_model(path)
    message = str(caught.value)
    assert message.startswith(f"{path} has a normalisation, '0.mean', with mean {mean[0]:g} ")
    assert message.endswith("which is not that of RGB images in [0, 1]; correct it in the file")


@pytest.mark.parametrize("unit", [1, 255])
def test_a_normalisation_of_bgr_images(write: Callable[..., Any], unit: int) -> None:
    mean, std = (unit * torch.tensor(values[::-1]) for values in IMAGENET)
    with pytest.raises(UserError, match=r"'0\.mean', of BGR images; take a network of RGB images"):
        read_model(write({"0.mean": mean, "0.std": std}))


def test_pixels_that_are_only_scaled(write: Callable[..., Any]) -> None:
    model = read_model(write({"0.mean": torch.zeros(3), "0.std": torch.full((3,), 255.0)}))
    assert (model.mean, model.std) == ((0.0,) * 3, (1.0,) * 3) and len(model.notes) == 1


@pytest.mark.parametrize(
    "beside, outside, name",
    [
        ({"0.mean": torch.ones(3)}, {}, "0.mean"),
        ({"0.std": torch.ones(3)}, {}, "0.std"),
        ({"0.mean": torch.ones(3), "1.std": torch.ones(3)}, {}, "0.mean"),
        ({"0.mean": torch.ones(4), "0.std": torch.ones(4)}, {}, "0.mean"),
        # of a metric
        ({"top1.mean": torch.tensor(0.7), "top1.std": torch.tensor(0.1)}, {}, "top1.mean"),
        ({"mean": torch.tensor(0.7), "std": torch.tensor(0.1)}, {}, "mean"),
        ({}, {"mean": [True] * 3, "std": [True] * 3}, "mean"),
        ({}, {"mean": MEAN}, "mean"),
        ({}, {"mean": 71.3, "std": 0.2}, "mean"),
        ({}, {"mean": ["a", "b", "c"], "std": STD}, "mean"),
    ],
)
def test_half_a_normalisation_is_said(
    write: Callable[..., Any], path: Path, beside: Any, outside: Any, name: str
) -> None:
    path = write(beside, **outside)
    model = read_model(path)
    assert (model.mean, model.std) == IMAGENET
    assert model.notes == (
        f"the file has '{name}', which was not understood; ImageNet's mean and std are assumed;"
        " give --mean and --std",
    )
    done = convert(path, path.with_suffix(".pth"), mean=MEAN, std=STD)
    assert done.card.pixel_mean == pytest.approx([255 * v for v in MEAN])
    # these networks have seen noise
    assert [note for note in done.notes if "running statistics" not in note] == []


def test_modules_elsewhere_are_not_asked(write: Callable[..., Any]) -> None:
    model = read_model(write({"loss.scale.mean": torch.zeros(3), "loss.scale.std": torch.ones(3)}))
    assert model.notes == (ASSUMED,)
