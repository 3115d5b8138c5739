"""Features of stages and pyramid levels, side by side: their principal components as colours.

Components are of one image in one layer of one network: between two images of the sheet, the same
colour means nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from robust_det.core.errors import UserError
from robust_det.core.progress import progress_bar
from robust_det.models import get_architecture
from robust_det.models.classifier import Normalize
from robust_det.models.features import extract_features
from robust_det.visualization.detectors import ShownDetector
from robust_det.visualization.images import read_squares, sides_of
from robust_det.visualization.job import Job, Result
from robust_det.visualization.layers import require_layers
from robust_det.visualization.networks import ShownBackbone, common_size, load_backbones
from robust_det.visualization.pca import components_image, principal_components
from robust_det.visualization.record import ShownNetwork
from robust_det.visualization.sheet import Cell, Row, Sheet, bytes_of

__all__ = ["draw"]

_STEM = "stem"


@dataclass(frozen=True)
class _Source:
    """A network whose layers are drawn.

    Attributes:
        strides: of its layers by name; None of a stem, which the registry does not know.
        usual: those that are drawn if none are named.
        features: an image (3, S, S) in [0, 1] to layers by name, (C, h, w), without padding.
    """

    name: str
    shown: ShownNetwork
    strides: Mapping[str, int | None]
    usual: tuple[str, ...]
    features: Callable[[torch.Tensor], Mapping[str, torch.Tensor]]


def draw(job: Job) -> Result:
    """Draw the features of all networks on all images.

    Raises:
        UserError: an image or a network cannot be read, they do not fit, or a layer does not exist.
    """
    backbones = load_backbones(job.backbones)
    own = [int(each.detector.cfg.INPUT.MIN_SIZE_TEST) for each in job.detectors]
    size, said = common_size(backbones, job.size, own)
    sources = [
        *(_of_backbone(each, job) for each in backbones),
        *(_of_detector(each) for each in job.detectors),
    ]
    said += [
        f"{each.name} was trained with a shorter side of {side} px, and sees {size} px here."
        for each, side in zip(job.detectors, own, strict=True)
        if side != size
    ]
    layers, notes = _layers(job, sources, size)
    said += notes
    strides = [each.strides.get(name) or 1 for each in sources for name in layers]
    if size < max(strides):
        raise UserError(
            f"images of {size} px are smaller than the stride of the deepest of these layers,"
            f" {max(strides)} px; give a larger --size, or other --layers"
        )
    images, notes = read_squares(job.images, size, max(strides))
    images, said = images.to(job.device), said + notes
    rows, table = [], []
    with progress_bar(len(images) * len(sources), "features", "images") as bar:
        for path, image in zip(job.images, images, strict=True):
            for source in sources:
                with torch.no_grad():
                    found = source.features(image)
                cells = [Cell(bytes_of(image))]
                for layer in layers:
                    if layer not in found:
                        cells.append(Cell(None))
                        continue
                    scores, shares = principal_components(found[layer].cpu())
                    height, width = scores.shape[1:]
                    caption = f"{width} x {height}, {100 * sum(shares):.0f}% of variance"
                    cells.append(Cell(bytes_of(components_image(scores)), caption))
                    table.append(
                        {
                            "network": source.name,
                            "image": str(path),
                            "layer": layer,
                            "channels": len(found[layer]),
                            "positions": height * width,
                            **{f"share_{n}": share for n, share in enumerate(shares, 1)},
                        }
                    )
                rows.append(Row(f"{path.name}\n{source.shown.heading}", cells))
                bar.update()
    single = sorted({str(row["layer"]) for row in table if row["positions"] == 1})
    if single:
        said.append(
            f"At {size} px {', '.join(single)} has one position, of which nothing varies: grey."
        )
    settings = {"size": size, "layers": layers, "seed": job.seed}
    shown = [source.shown for source in sources]
    return Result(Sheet(job.title, ["image", *layers], rows), shown, table, settings, (), said)


def _layers(job: Job, sources: list[_Source], size: int) -> tuple[list[str], list[str]]:
    """Return the layers to draw: those that were named, or all whose stride the images hold; and
    what to say of that."""
    for source in sources:
        require_layers(job.layers, source.strides, source.name)
    known = _order(sources)
    if job.layers:
        return [name for name in known if name in job.layers], []
    reach = min(size, *(min(sides_of(path)) for path in job.images))
    usual = {name: source.strides[name] or 1 for source in sources for name in source.usual}
    deep = [name for name in known if usual.get(name, 1) > reach]
    layers = [name for name in known if name in usual and name not in deep]
    if not layers:
        return [name for name in known if name in usual], []  # which is refused, and why
    note = f"Left out, as their stride is above the {reach} px of the images: {', '.join(deep)}."
    return layers, [note] if deep else []


def _order(sources: list[_Source]) -> list[str]:
    """Return the layers of all networks, shallow to deep as each has them."""
    found: dict[str, None] = {}
    for source in sources:
        found |= dict.fromkeys(source.strides)
    stages = [name for name in found if name.startswith(("stem", "res"))]
    return [*stages, *(name for name in found if name not in stages)]


def _of_backbone(backbone: ShownBackbone, job: Job) -> _Source:
    architecture = get_architecture(backbone.model.arch)
    architecture.require_stages()
    stages: dict[str, int | None] = {each.name: each.stride for each in architecture.stages}
    wanted = list(job.layers or stages)
    require_layers(wanted, {_STEM: None, **stages}, backbone.name)
    body = backbone.model.body()
    # the head may be without values, and is left out
    network = extract_features(backbone.model.arch, body, wanted).to(job.device)
    normalize = Normalize(backbone.model.mean, backbone.model.std).to(job.device)

    def features(image: torch.Tensor) -> dict[str, torch.Tensor]:
        return {name: each[0] for name, each in network(normalize(image[None])).items()}

    known = {_STEM: None, **stages}
    return _Source(backbone.name, backbone.shown, known, tuple(stages), features)


def _of_detector(detector: ShownDetector) -> _Source:
    strides = detector.strides

    def features(image: torch.Tensor) -> dict[str, torch.Tensor]:
        found = detector.features(detector.batch(detector.from_unit(image)))
        height, width = image.shape[1:]
        # without what was padded
        return {
            name: each[0, :, : -(-height // strides[name]), : -(-width // strides[name])]
            for name, each in found.items()
        }

    return _Source(detector.name, detector.shown, strides, tuple(strides), features)
