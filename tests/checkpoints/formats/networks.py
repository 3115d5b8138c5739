"""Networks of other libraries, how they are saved, and what has to be equal of them."""

from __future__ import annotations

from typing import Any

import torch
from torchvision.models.feature_extraction import create_feature_extractor
from torchvision.transforms.functional import normalize

from robust_det.models import get_architecture

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
ASSUMED = "the file does not say its normalisation; ImageNet's mean and std are assumed"
LIMIT = 1e-5


def torchvision_network(arch: Any, classes: int = 10, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return get_architecture(arch).build(classes)


def pictures(size: int = 64) -> Any:
    return torch.rand(3, 3, size, size, generator=torch.Generator().manual_seed(7))


@torch.no_grad()
def own_logits(network: Any, mean: Any = IMAGENET[0], std: Any = IMAGENET[1]) -> Any:
    """What a network of another library says to normalised images."""
    logits = network.eval()(normalize(pictures(), mean, std))
    # dead or saturated networks would agree whatever was read
    assert logits.isfinite().all() and (logits[0] - logits[1]).abs().max() > 1e-3
    return logits


@torch.no_grad()
def difference(model: Any, logits: Any, images: Any = None) -> Any:
    got = model.classifier()(pictures() if images is None else images)
    return float((got - logits).abs().max() / logits.abs().max())


def same_tensors(ours: Any, theirs: Any) -> None:
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        assert ours[name].dtype == tensor.dtype, name
        assert torch.equal(ours[name], tensor), name


def save_zip(state: Any, path: Any) -> None:
    torch.save(state, path)


def save_legacy(state: Any, path: Any) -> None:
    torch.save(state, path, _use_new_zipfile_serialization=False)


@torch.no_grad()
def same_features(bottom_up: Any, model: Any) -> None:
    """Compare the features of a Detectron2 network with those of torchvision's."""
    nodes = {stage.node: stage.name for stage in get_architecture(model.arch).stages}
    images = normalize(pictures(), *IMAGENET)
    expected = bottom_up.eval()(images)
    got = create_feature_extractor(model.body(), nodes)(images)
    assert got.keys() <= expected.keys() and len(got) == 4
    for stage, features in got.items():
        worst = (features - expected[stage]).abs().max() / expected[stage].abs().max()
        assert worst <= LIMIT, stage
