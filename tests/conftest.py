"""Fixtures that several folders share: images, a randomised classifier, its conversion, and a small
COCO data set of real image files."""

from __future__ import annotations

import faulthandler
import gc
import json
import pickle
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from robust_det.checkpoints.io import save_checkpoint
from robust_det.checkpoints.pretrained import FORMAT
from robust_det.conversion.convert import convert
from robust_det.data.synthetic import write_coco
from robust_det.models import Classifier, ModelCard, build_classifier
from tests.support import tiny_detector

# a shell ignores it for what it runs in the background, and what the tests start would inherit that
signal.signal(signal.SIGINT, signal.default_int_handler)

TRAIN_IMAGES, VAL_IMAGES = 12, 5
MEAN, STD = (0.41, 0.52, 0.63), (0.21, 0.25, 0.3)


def pytest_collection_finish() -> None:
    gc.freeze()  # a million objects of torch's are not looked through again and again


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """A tool that a signal ended ignores further ones to the end of its process."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def pytest_unconfigure() -> None:
    # whatever a test left behind that keeps the process from ending is to be seen, and soon
    faulthandler.dump_traceback_later(120, exit=True)


def write_image(path: Path, seed: int, hue: int) -> None:
    """Write a small noisy image whose colour tells its class; JPEG or PNG by the name."""
    rng = np.random.default_rng(seed)
    width, height = int(rng.integers(34, 48)), int(rng.integers(34, 48))
    pixels = rng.integers(0, 90, (height, width, 3))
    pixels[..., hue % 3] += 120
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


@pytest.fixture(scope="session")
def image_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ImageFolder tree: 3 classes, 12 training and 5 validation images each. Do not change it;
    ``shutil.copytree`` it first."""
    root = tmp_path_factory.mktemp("images")
    seed = 0
    for hue, name in enumerate(("blue", "green", "red")):
        for split, count in (("train", TRAIN_IMAGES), ("val", VAL_IMAGES)):
            for i in range(count):
                seed += 1
                suffix = "jpg" if i % 2 else "png"
                write_image(root / split / name / f"{i:02d}.{suffix}", seed, hue)
    return root


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What tests leave in the cache is not left in the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROBUST_DET_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Some random networks differ by more than rounding should make: no test has a new one."""
    torch.manual_seed(0)


def _randomise(classifier: Classifier, seed: int = 0) -> Classifier:
    """Give every batch norm statistics and an affine map that conversion could get wrong."""
    noise = torch.Generator().manual_seed(seed)

    def uniform(like: torch.Tensor, low: float, high: float) -> torch.Tensor:
        return torch.rand(like.shape, generator=noise) * (high - low) + low

    for module in classifier.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.copy_(uniform(module.running_mean, -0.5, 0.5))
            module.running_var.copy_(uniform(module.running_var, 0.5, 2.0))
            module.weight.data.copy_(uniform(module.weight, 0.5, 1.5))
            module.bias.data.copy_(uniform(module.bias, -0.5, 0.5))
    return classifier.eval()


@pytest.fixture(scope="session")
def randomise() -> Callable[..., Classifier]:
    return _randomise


@pytest.fixture(scope="session")
def write_classifier() -> Callable[..., Classifier]:
    """Return a function that writes a checkpoint as tools/pretrain.py does."""

    def write(path: Path, arch: str = "resnet10_narrow", eps: float = 0.5) -> Classifier:
        torch.manual_seed(0)
        classifier = _randomise(build_classifier(arch, 4, MEAN, STD))
        card = ModelCard(arch, "l2", eps, MEAN, STD, 48, ("a", "b", "c", "d"))
        save_checkpoint(
            path,
            {"format": FORMAT, "meta": card.plain(), "model": classifier.body.state_dict()},
        )
        return classifier

    return write


@pytest.fixture(scope="session")
def classifier_file(tmp_path_factory: pytest.TempPathFactory, write_classifier: Any) -> Path:
    path = tmp_path_factory.mktemp("pretrain") / "final.pth"
    write_classifier(path)
    return path


@pytest.fixture(scope="session")
def backbone_file(tmp_path_factory: pytest.TempPathFactory, classifier_file: Path) -> Path:
    path = tmp_path_factory.mktemp("backbones") / "narrow_l2_eps0.5.pth"
    convert(classifier_file, path)
    return path


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 training and 6 validation images of 96 px, 8 classes. Do not change them."""
    root = tmp_path_factory.mktemp("data") / "scenes"
    write_coco(root, train_images=12, val_images=6, size=96)
    return root


@pytest.fixture
def document(scenes: Path) -> dict[str, Any]:
    """The validation scenes' annotations: 6 images of 96 px, 8 classes with gaps in their ids."""
    return json.loads((scenes / "annotations/instances_val.json").read_text())


@pytest.fixture
def write_config(tmp_path: Path, scenes: Path, backbone_file: Path) -> Callable[..., Path]:
    """Return a function that writes a config of a tiny Mask R-CNN, with changes by section."""

    def write(name: str = "tiny.yaml", **sections: Any) -> Path:
        return tiny_detector(tmp_path / name, scenes, backbone_file, **sections)

    return write


class _Executes:
    """Creates a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.marker,))


@pytest.fixture
def malicious(tmp_path: Path) -> tuple[Path, Path]:
    """A checkpoint that would create a file, and that file."""
    path, marker = tmp_path / "malicious.pth", tmp_path / "executed"
    torch.save({"model": {}, "robust_det": _Executes(marker)}, path)
    # the trap works where anybody loads without care
    pickle.loads(pickle.dumps(_Executes(marker)))
    assert marker.exists()
    marker.unlink()
    return path, marker
