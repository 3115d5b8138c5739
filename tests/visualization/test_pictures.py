"""Gradients, classes, components and filters against what others compute, and the sheet itself."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from captum.attr import Saliency
from PIL import Image
from sklearn.decomposition import PCA
from torch import nn

from robust_det.attacks import frozen
from robust_det.checkpoints.model_file import read_model
from robust_det.visualization.ascent import l2_search
from robust_det.visualization.classes import class_objective
from robust_det.visualization.drawing import sheet_png
from robust_det.visualization.filters import mosaic
from robust_det.visualization.gradients import input_gradients, scaled_gradient
from robust_det.visualization.page import sheet_html
from robust_det.visualization.pca import components_image, principal_components
from robust_det.visualization.sheet import Cell, Row, Sheet, symmetric


def test_gradients_are_captums(networks: list[Path]) -> None:
    classifier = read_model(networks[0]).classifier()
    images, labels = torch.rand(2, 3, 48, 48), torch.tensor([1, 3])
    losses, gradients = input_gradients(classifier, images, labels)

    def loss(x: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(classifier(x), labels, reduction="none")

    expected = Saliency(loss).attribute(images.clone().requires_grad_(True), abs=False)
    torch.testing.assert_close(gradients, expected)
    with torch.no_grad():
        torch.testing.assert_close(losses, loss(images))


def test_a_gradient_is_scaled_alike_on_both_sides_of_grey() -> None:
    gradient = torch.zeros(3, 2, 2)
    gradient[0] = torch.tensor([[3.0, -3.0], [0.0, 0.0]])  # rms 3 / sqrt(2), cut off at 6.36
    gradient[1] = torch.tensor([[-100.0, 100.0], [100.0, -100.0]])
    image = scaled_gradient(gradient)
    assert torch.allclose(image[0], torch.tensor([[0.7357, 0.2643], [0.5, 0.5]]), atol=1e-4)
    assert torch.allclose(image[1], 0.5 + gradient[1] / 600)
    assert torch.equal(image[2], torch.full((2, 2), 0.5))
    assert symmetric(torch.tensor([5.0, -9.0, 1.0]), 2.0).tolist() == [1, 0, 0.75]


def test_a_class_is_raised_as_far_as_the_ball_reaches() -> None:
    # of a linear classifier the best image of the ball is known
    weights = torch.randn(3, 12, generator=torch.Generator().manual_seed(0))
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 3, bias=False))
    linear = network[1]
    assert isinstance(linear, nn.Linear)
    linear.weight = nn.Parameter(weights)
    seed = torch.full((2, 3, 2, 2), 0.5)
    towards = torch.tensor([2, 0])
    with frozen(network):
        found = l2_search(0.25, 0.1, 30)(class_objective(network, towards), seed)
    best = 0.5 + 0.25 * nn.functional.normalize(weights[towards], dim=1).view(2, 3, 2, 2)
    torch.testing.assert_close(found, best, atol=1e-4, rtol=0)


def test_components_are_scikit_learns() -> None:
    rng = torch.Generator().manual_seed(1)
    features = torch.randn(10, 5, 7, generator=rng) * torch.arange(1, 11).view(10, 1, 1)
    scores, shares = principal_components(features)
    points = features.flatten(1).T.numpy().astype(np.float64)
    oracle = PCA(3, svd_solver="full").fit(points)
    np.testing.assert_allclose(shares, oracle.explained_variance_ratio_, rtol=1e-6)
    expected = oracle.transform(points).T
    for own, other, axis in zip(scores.flatten(1), expected, oracle.components_, strict=True):
        sign = np.sign(axis[np.abs(axis).argmax()])
        np.testing.assert_allclose(own.numpy(), sign * other, atol=1e-8)
    image = components_image(scores)
    assert image.shape == (3, 5, 7) and float(image.min()) >= 0 and float(image.max()) <= 1
    # the image's mean position is grey
    assert float((scores.mean((1, 2))).abs().max()) < 1e-9


@pytest.mark.parametrize("features", [torch.rand(8, 1, 1), torch.full((8, 4, 4), 0.3)])
def test_what_does_not_vary_is_grey(features: torch.Tensor) -> None:
    scores, shares = principal_components(features)
    assert shares == [0, 0, 0] and not scores.any()
    assert torch.equal(components_image(scores), torch.full_like(scores, 0.5).float())


def test_filters_are_scaled_each_by_itself_around_grey() -> None:
    filters = torch.zeros(3, 3, 2, 2)
    filters[0, 0, 0, 0], filters[0, 2, 1, 1] = 4.0, -2.0
    filters[1, :, 0, 1] = 0.01
    image = mosaic(filters)
    assert image.shape == (3, 7, 7)
    assert image[:, 0].eq(1).all() and image[:, :, 3].eq(1).all()  # lines
    assert image[0, 1, 1] == 1 and image[2, 2, 2] == 0.25 and image[1, 1, 1] == 0.5
    assert image[:, 1, 5].eq(1).all() and image[:, 5, 2].eq(0.5).all()
    assert image[:, 4:6, 4:6].eq(1).all()  # no fourth filter


def sheet() -> Sheet:
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 0] = 255
    wide = np.full((100, 200, 3), 90, np.uint8)
    rows = [
        Row("first\n<b>", [Cell(red, "as it is"), Cell(None, "not found")]),
        Row("second", [Cell(wide), Cell(red)]),
    ]
    return Sheet("A <title>", ["one", "a name that is much too long for a column\nresnet18"], rows)


def test_the_picture_has_every_image_at_one_width() -> None:
    with Image.open(io.BytesIO(sheet_png(sheet()))) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    red = (pixels == (255, 0, 0)).all(2)
    assert int(red.sum()) == 2 * 200 * 200  # enlarged to the widest, without smoothing
    grey = (pixels == 90).all(2)
    assert int(grey.sum()) == 200 * 100  # a landscape keeps its sides' ratio


def test_the_page_needs_nothing_beside_it_and_escapes_words() -> None:
    page = sheet_html(
        sheet(), ["1 < 2"], (["mean", "error"], [["a", "1.5"]]), {"size": 64}, ["net: resnet18"]
    )
    assert page.count("<img ") == 3 and page.count('class="none"') == 1
    assert page.count("data:image/png;base64,") == 2 and page.count("data:image/jpeg;base64,") == 1
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    assert "1 &lt; 2" in page and "<b>" not in page and "A &lt;title&gt;" in page
    assert 'alt="one, first &lt;b&gt;"' in page and "<dd>64</dd>" in page and "<td>1.5</td>" in page


def test_rows_have_a_cell_a_column() -> None:
    with pytest.raises(ValueError, match="has 1 cells, not 2"):
        Sheet("x", ["a", "b"], [Row("r", [Cell(None)])])
