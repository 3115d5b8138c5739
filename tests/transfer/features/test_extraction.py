"""Features of images: each once, in order, and none that is not one."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import nn
from torchvision import transforms
from torchvision.models.resnet import ResNet

from robust_det.classification.image_sets import CorruptImageError
from robust_det.core.errors import UserError
from robust_det.data.classification.image_list import ImageList
from robust_det.training import waiting
from robust_det.transfer.features.extraction import Features, extract
from robust_det.transfer.features.network import FeatureNetwork

CPU = torch.device("cpu")
MEAN, STD = (0.41, 0.52, 0.63), (0.21, 0.25, 0.3)


def extracted(network: FeatureNetwork, images: ImageList, **options: Any) -> Features:
    return extract(network, images, name="toys", device=CPU, **options)


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    return ((a - b).norm() / b.norm()).item()


def spoil(images: ImageList, *indices: int) -> None:
    for i in indices:
        path = Path(images.path(i))
        path.write_bytes(path.read_bytes()[:200])


def test_features_are_those_of_torchvisions_own_loop(
    network: FeatureNetwork, images: ImageList
) -> None:
    prepare = transforms.Compose(
        [
            transforms.Resize(36),
            transforms.CenterCrop(32),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    body: Any = copy.deepcopy(network.module.get_submodule("body"))
    assert isinstance(body, ResNet)
    expected = []
    for i in range(len(images)):
        with Image.open(images.path(i)) as file, torch.no_grad():
            expected.append(body(prepare(file)[None]))
    found = extracted(network, images, batch_size=4)
    assert relative(found.values, torch.cat(expected)) < 1e-4
    assert found.values.shape == (11, 128) and found.values.dtype == torch.float32
    assert found.indices.tolist() == [*range(11)]
    assert found.targets.tolist() == [i % 3 for i in range(11)]
    assert found.corrupt == ()


@pytest.mark.parametrize("options", [{"batch_size": 3}, {"workers": 2, "batch_size": 4}])
def test_batches_and_workers_change_nothing(
    network: FeatureNetwork, images: ImageList, options: dict[str, int]
) -> None:
    whole, other = extracted(network, images), extracted(network, images, **options)
    assert torch.allclose(whole.values, other.values, rtol=1e-4, atol=1e-5)
    assert torch.equal(whole.targets, other.targets)
    assert torch.equal(whole.indices, other.indices)


def test_precision_and_memory_format(network: FeatureNetwork, images: ImageList) -> None:
    plain = extracted(network, images).values
    assert relative(extracted(network, images, channels_last=False).values, plain) < 1e-4
    half = extracted(network, images, precision="bf16").values
    assert half.dtype == torch.float32 and 1e-4 < relative(half, plain) < 5e-2


def test_a_head_can_be_trained_on_them_and_the_network_is_as_before(
    network: FeatureNetwork, images: ImageList
) -> None:
    before = copy.deepcopy(network.module.state_dict())
    found = extracted(network, images)
    head = nn.Linear(network.width, 3)
    nn.functional.cross_entropy(head(found.values), found.targets).backward()
    assert head.weight.grad is not None and head.weight.grad.norm() > 0
    after = network.module.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_a_corrupt_image_stops_it(network: FeatureNetwork, images: ImageList) -> None:
    spoil(images, 5)
    with pytest.raises(CorruptImageError) as raised:
        extracted(network, images)
    assert f"cannot decode {images.path(5)}" in str(raised.value)


@pytest.mark.parametrize("workers", [0, 1])
def test_corrupt_images_are_left_out_and_listed(
    network: FeatureNetwork, images: ImageList, workers: int, caplog: pytest.LogCaptureFixture
) -> None:
    whole = extracted(network, images)
    spoil(images, 0, 4, 5)
    # the second batch has none that can be decoded
    with caplog.at_level(logging.WARNING):
        found = extracted(network, images, on_corrupt="skip", batch_size=2, workers=workers)
    kept = [1, 2, 3, 6, 7, 8, 9, 10]
    assert found.indices.tolist() == kept
    assert found.targets.tolist() == [i % 3 for i in kept]
    assert torch.allclose(found.values, whole.values[kept], rtol=1e-4, atol=1e-5)
    assert [text.split(" ")[0] for text in found.corrupt] == [images.path(i) for i in (0, 4, 5)]
    (record,) = caplog.records
    assert "3 of the 11 images of toys cannot be decoded and are left out" in record.message


def test_without_any_image_there_are_no_features(
    network: FeatureNetwork, images: ImageList
) -> None:
    spoil(images, *range(11))
    with pytest.raises(UserError, match="none of the 11 images of toys can be decoded, the first"):
        extracted(network, images, on_corrupt="skip")
    images.targets = images.targets[:0]
    with pytest.raises(UserError, match="toys has no images"):
        extracted(network, images)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf")])
def test_features_that_are_not_finite_are_refused_with_their_image(
    images: ImageList, wrong: float
) -> None:
    class Odd(nn.Module):
        seen = 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out = x.mean((2, 3))
            if self.seen == 6:
                out[1, 2] = wrong
            self.seen += len(x)
            return out

    network = FeatureNetwork(Odd(), 3, "odd")
    with pytest.raises(UserError) as raised:
        extracted(network, images, batch_size=3)
    expected = f"the features of 1 image of toys are NaN or infinite, such as of {images.path(7)};"
    assert str(raised.value).startswith(expected)


def test_workers_without_room_for_their_batches_are_refused(
    network: FeatureNetwork, images: ImageList, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(images, 0)  # says nothing of the size of the others
    need = 2 * 4 * 3 * 32 * 32  # batches ahead, images, channels, pixels
    options: dict[str, Any] = {"workers": 1, "batch_size": 4, "on_corrupt": "skip"}
    monkeypatch.setattr(waiting, "_free", lambda: need)
    assert len(extracted(network, images, **options).values) == 10
    monkeypatch.setattr(waiting, "_free", lambda: need - 1)
    with pytest.raises(UserError, match="the batches of 1 workers need"):
        extracted(network, images, **options)


@pytest.mark.parametrize("options", [{"precision": "fp8"}, {"on_corrupt": "ignore"}])
def test_unknown_choices_are_refused(
    network: FeatureNetwork, images: ImageList, options: dict[str, str]
) -> None:
    with pytest.raises(ValueError, match="no such"):
        extracted(network, images, **options)


def test_neighbours_do_not_stand_in_for_corrupt_images(
    make_network: Callable[[], FeatureNetwork], images: ImageList
) -> None:
    images.substitute = True
    with pytest.raises(ValueError, match="features of neighbours"):
        extracted(make_network(), images)
