from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models import resnet18
from torchvision.models.feature_extraction import create_feature_extractor
from torchvision.ops import roi_align

from robust_det.core.errors import FileError
from robust_det.ranking.box_features import Pixels, box_features, usual_size
from robust_det.ranking.boxes import BoxImage

CPU = torch.device("cpu")
IMAGENET = (torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225]))


def make_images(folder: Path, sizes: list[tuple[int, int]]) -> list[BoxImage]:
    """Images of noise, each with three boxes."""
    rng = np.random.default_rng(0)
    images = []
    for number, (width, height) in enumerate(sizes):
        file = folder / f"{number}.png"
        coarse = rng.integers(0, 256, (height // 8, width // 8, 3), np.uint8)
        Image.fromarray(coarse).resize((width, height)).save(file)
        corners = np.sort(rng.random((3, 2, 2)), 1) * [width, height]
        images.append(
            BoxImage(str(file), width, height, corners.reshape(3, 4), np.arange(3, dtype=np.int64))
        )
    return images


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, torch.nn.Module]:
    """A file of torchvision's ResNet-18, and it."""
    torch.manual_seed(0)
    model = resnet18(num_classes=10).eval()
    path = tmp_path_factory.mktemp("torchvision") / "resnet18.pth"
    torch.save(model.state_dict(), path)
    return path, model


def test_features_are_torchvision_s_of_each_image_alone(
    network: tuple[Path, torch.nn.Module], tmp_path: Path
) -> None:
    path, model = network
    # two shapes, mixed, and all of the size that is asked for
    images = make_images(tmp_path, [(96, 64), (64, 96), (96, 64), (96, 64)])
    done: list[int] = []
    ours = box_features(path, Pixels(images, 64), CPU, done.append)
    assert sum(done) == 4
    stages = create_feature_extractor(model, {"layer3": "res4", "layer4": "res5"})
    parts: dict[str, list[torch.Tensor]] = {"res4": [], "res5": []}
    for image in images:
        pixels = torch.from_numpy(np.array(Image.open(image.file))).permute(2, 0, 1) / 255
        mean, std = (each[:, None, None] for each in IMAGENET)
        with torch.no_grad():
            found = stages(((pixels - mean) / std)[None])
        for name, stride in (("res4", 16), ("res5", 32)):
            boxes = [torch.from_numpy(image.boxes).float()]
            pooled = roi_align(found[name], boxes, (7, 7), 1 / stride, -1, aligned=True)
            parts[name].append(pooled.mean((2, 3)))
    expected = []
    for name in ("res4", "res5"):
        block = torch.cat(parts[name])
        expected.append(block / block.numpy().var(0).sum() ** 0.5)
    torch.testing.assert_close(ours, torch.cat(expected, dim=1), rtol=1e-3, atol=1e-5)
    # so that neither stage outweighs the other
    for block in ours.split([256, 512], dim=1):
        assert float(block.var(0, correction=0).sum()) == pytest.approx(1, abs=1e-4)


def test_boxes_follow_the_image_to_its_size(
    network: tuple[Path, torch.nn.Module], tmp_path: Path
) -> None:
    [image] = make_images(tmp_path, [(128, 96)])
    small = Image.open(image.file).resize((85, 64), Image.Resampling.BILINEAR)
    file = tmp_path / "small.png"
    small.save(file)
    scaled = image.boxes * [85 / 128, 64 / 96, 85 / 128, 64 / 96]
    other = BoxImage(str(file), 85, 64, scaled, image.labels)
    both = [
        box_features(network[0], Pixels([each], 64), CPU, lambda n: None) for each in (image, other)
    ]
    torch.testing.assert_close(both[0], both[1], rtol=1e-3, atol=1e-4)


def test_images_are_decoded_once_for_all_backbones(tmp_path: Path) -> None:
    images = make_images(tmp_path, [(96, 64), (96, 64)])
    pixels = Pixels(images, 32)
    first = pixels[0]
    Path(images[0].file).unlink()
    assert pixels[0] is first and first.shape == (32, 48, 3) == (*pixels.shape(0), 3)
    Path(images[1].file).unlink()
    with pytest.raises(FileNotFoundError):
        pixels[1]


def test_the_longer_side_is_limited(tmp_path: Path) -> None:
    [image] = make_images(tmp_path, [(640, 64)])
    assert Pixels([image], 60).shape(0) == (10, 100)


def test_an_image_of_another_size_is_named(tmp_path: Path) -> None:
    [image] = make_images(tmp_path, [(96, 64)])
    wrong = BoxImage(image.file, 64, 96, image.boxes, image.labels)
    with pytest.raises(FileError, match=r"^image .*0\.png has 96 x 64 pixels, and its annot"):
        Pixels([wrong], 64)[0]


def test_a_truncated_image_is_named(network: tuple[Path, torch.nn.Module], tmp_path: Path) -> None:
    images = make_images(tmp_path, [(96, 64), (96, 64)])
    file = Path(images[1].file)
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(FileError, match=r"cannot decode image .*1\.png"):
        box_features(network[0], Pixels(images, 64), CPU, lambda n: None)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [([(640, 480), (300, 200)], 256), ([(100, 110), (90, 90)], 64), ([(20, 30)], 64)],
)
def test_the_size_is_the_median_within_limits(sizes: list[tuple[int, int]], expected: int) -> None:
    images = [BoxImage("", *size, np.zeros((0, 4)), np.zeros(0, np.int64)) for size in sizes]
    assert usual_size(images) == expected
