"""What the score of each box that a detector finds follows from, one map a box.

The logit of the box's class in the row of the heads that became the box (see :mod:`.box_scores`) is
differentiated with respect to the image, and to stages and pyramid levels, of which Grad-CAM makes
maps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from detectron2.structures import Boxes, pairwise_iou
from PIL import Image, ImageDraw

from robust_det.attacks import frozen
from robust_det.core.errors import FileError, UserError, counted
from robust_det.core.progress import progress_bar
from robust_det.detection.mapping.decoding import read_image
from robust_det.visualization.box_scores import box_scores
from robust_det.visualization.cam import grad_cam, on_image, share_inside
from robust_det.visualization.detectors import ShownDetector
from robust_det.visualization.gradients import scaled_gradient
from robust_det.visualization.intervals import RESAMPLES, means_over_images
from robust_det.visualization.job import Job, Mean, Result
from robust_det.visualization.layers import require_layers
from robust_det.visualization.sheet import Cell, Pixels, Row, Sheet, bytes_of

__all__ = ["OWN", "Explained", "Found", "draw", "explain_boxes", "find_boxes"]

OWN = "own"  # the pyramid level that a box's score comes from
GRADIENT = "gradient"
_SAME_OBJECT = 0.5  # IoU of two detectors' boxes
_SEEN = 0.55  # how much of the map covers the image
_INSIDE = "share of the map in the box"


@dataclass(frozen=True)
class Found:
    """A box that a detector finds.

    Attributes:
        box: (4,) corners in pixels of the image as the detector sees it.
        whole: (4,) corners as shares of the image's sides.
        number, label: of its class.
        score: of it.
    """

    box: torch.Tensor
    whole: torch.Tensor
    number: int
    label: str
    score: float


@dataclass(frozen=True)
class Explained:
    """A box with its maps.

    Attributes:
        found: the box.
        gradient: (3, H, W) of the class's logit, RGB, of an image in [0, 1].
        maps: (H, W) Grad-CAM by layer, >= 0.
        own: the pyramid level that its score comes from; empty without a pyramid.
    """

    found: Found
    gradient: torch.Tensor
    maps: dict[str, torch.Tensor]
    own: str

    def shares(self) -> dict[str, float | None]:
        """Return which share of each map, and of the gradient's size, lies in the box."""
        values = {GRADIENT: self.gradient.abs().sum(0), **self.maps}
        return {name: share_inside(each, self.found.box) for name, each in values.items()}


@dataclass
class _Object:
    """What may be one object: by detector, the place of its box among those that it finds."""

    label: str
    whole: torch.Tensor
    places: dict[str, int] = field(default_factory=dict)


def find_boxes(detector: ShownDetector, image: torch.Tensor, score: float) -> list[Found]:
    """Return the boxes that a detector finds on an image, the surest first.

    Args:
        detector: in evaluation mode.
        image: (3, H, W) from 0 to 255, resized, in the detector's order of channels.
        score: that they have at least.
    """
    height, width = image.shape[1:]
    with torch.no_grad():
        given = {"image": image.float(), "height": height, "width": width}
        found = detector.model([given])[0]["instances"].to("cpu")
    sides = torch.tensor([width, height, width, height])
    boxes = [
        Found(box, box / sides, number, detector.classes[number], value)
        for box, number, value in zip(
            found.pred_boxes.tensor,
            found.pred_classes.tolist(),
            found.scores.tolist(),
            strict=True,
        )
        if value >= score
    ]
    return sorted(boxes, key=lambda box: -box.score)


def explain_boxes(
    detector: ShownDetector, image: torch.Tensor, boxes: Sequence[Found], layers: Sequence[str]
) -> list[Explained]:
    """Return boxes that a detector finds on an image with the maps of each.

    Args:
        detector: in evaluation mode.
        image: as for :func:`find_boxes`.
        boxes: of them.
        layers: stages and levels, or :data:`OWN`.
    """
    if not boxes:
        return []
    height, width = image.shape[1:]
    with frozen(detector.model):
        x = image.float().to(detector.model.device).requires_grad_(True)
        with torch.enable_grad():
            images = detector.batch(x)
            features = detector.features(images)
            rows = box_scores(detector.model, images, features)
        padded = tuple(images.tensor.shape[2:])
        names = list(features)
        made = []
        for found in boxes:
            row = rows.row_of(found.box.to(x.device), found.number, found.score)
            inputs = [x, *(features[name] for name in names)]
            slopes = torch.autograd.grad(
                rows.logits[row, found.number], inputs, retain_graph=True, allow_unused=True
            )
            of_layer = dict(zip(names, slopes[1:], strict=True))
            own = _own_level(detector, features, of_layer)
            maps = {}
            for name in dict.fromkeys(own if each == OWN else each for each in layers):
                slope = of_layer[name]
                activation = features[name].detach()[0]
                cam = grad_cam(
                    activation, torch.zeros_like(activation) if slope is None else slope[0]
                )
                maps[name] = on_image(cam, (padded[0], padded[1]), (height, width)).cpu()
            gradient = slopes[0] * 255
            if detector.detector.cfg.INPUT.FORMAT == "BGR":
                gradient = gradient.flip(0)
            made.append(Explained(found, gradient.cpu(), maps, own))
    return made


def _own_level(
    detector: ShownDetector,
    features: Mapping[str, torch.Tensor],
    slopes: Mapping[str, torch.Tensor | None],
) -> str:
    """Return the pyramid level by which a score changes most; empty without a pyramid."""
    sizes = {}
    for name in detector.levels:
        slope = slopes[name]
        sizes[name] = 0.0 if slope is None else float((slope * features[name].detach()).abs().sum())
    return max(sizes, key=lambda name: sizes[name]) if sizes else ""


def draw(job: Job) -> Result:
    """Explain the boxes of every detector on all images.

    Raises:
        UserError: an image cannot be read, a layer does not exist, nothing is found, or a detector
            is of a kind that is not explained.
    """
    layers = {each.name: _layers(each, job.layers) for each in job.detectors}
    said, rows, table = [], [], []
    empty = 0
    shares: dict[str, dict[str, list[float]]] = {}
    columns = []
    for each in job.detectors:
        columns += [
            each.shown.heading,
            "gradient",
            *(f"Grad-CAM {name}" for name in layers[each.name]),
        ]
    with progress_bar(len(job.images) * len(job.detectors), "explain", "images") as bar:
        for path in job.images:
            seen = {each.name: _read(each, path, layers[each.name]) for each in job.detectors}
            found = {
                each.name: find_boxes(each, seen[each.name], job.score) for each in job.detectors
            }
            objects = _objects(found, job.boxes)
            cells: list[list[Cell]] = [[] for _ in objects]
            for each in job.detectors:
                places = [one.places.get(each.name) for one in objects]
                wanted = [found[each.name][place] for place in places if place is not None]
                boxes = iter(explain_boxes(each, seen[each.name], wanted, layers[each.name]))
                rgb = _rgb(each, seen[each.name])
                for place, own in zip(places, cells, strict=True):
                    box = None if place is None else next(boxes)
                    own += _cells(rgb, box, len(layers[each.name]))
                    if box is not None:
                        table += _figures(each.name, path, box, layers[each.name], shares)
                bar.update()
            empty += not objects
            rows += [
                Row(f"{path.name}\n{one.label}", own)
                for one, own in zip(objects, cells, strict=True)
            ]
    if not rows:
        raise UserError(
            f"no detector finds a box of a score of {job.score:g} or more on"
            f" {counted(len(job.images), 'image')}; lower --score, or give other --images"
        )
    augmented = [each.name for each in job.detectors if each.detector.cfg.TEST.AUG.ENABLED]
    if augmented:
        said.append(
            f"{', '.join(augmented)}: TEST.AUG is left out, and what is explained is one pass."
        )
    if empty:
        said.append(f"On {counted(empty, 'image')} nothing was found.")
    said.append(
        "The logit of the class of each box is differentiated in the row of the heads that became"
        f" the box; a box with IoU {_SAME_OBJECT} or more and the same class is taken for the same"
        " object."
    )
    means = _means(job.detectors, shares)
    settings = {
        "layers": {name: list(each) for name, each in layers.items()},
        "boxes": job.boxes,
        "score": job.score,
        "seed": job.seed,
        "resamples": RESAMPLES,
    }
    shown = [each.shown for each in job.detectors]
    return Result(Sheet(job.title, columns, rows), shown, table, settings, means, said)


def _layers(detector: ShownDetector, wanted: Sequence[str]) -> list[str]:
    """Return the layers to draw: those that are wanted, or the deepest stage and the box's own
    level."""
    deepest = list(detector.stages)[-1]
    if not wanted:
        return [deepest, OWN] if detector.levels else [deepest]
    require_layers(wanted, [*detector.strides, *([OWN] if detector.levels else [])], detector.name)
    return list(dict.fromkeys(wanted))


def _read(detector: ShownDetector, path: Path, layers: Sequence[str]) -> torch.Tensor:
    """Return an image (3, H, W) as a detector takes it, from 0 to 255.

    Raises:
        UserError: it cannot be read, or is smaller than a stride.
    """
    try:
        pixels = read_image(str(path), detector.detector.cfg.INPUT.FORMAT)
    except FileError:
        raise
    except OSError as error:
        raise UserError(f"image {path} cannot be read: {error.strerror or error}") from error
    stride = (
        max(detector.strides[name] for name in layers if name != OWN) if set(layers) - {OWN} else 1
    )
    if min(pixels.shape[:2]) < stride:
        raise UserError(
            f"image {path} has {pixels.shape[1]} x {pixels.shape[0]} pixels, and features of"
            f" {detector.name} have a stride of {stride}: not one of them would be its own; leave"
            " it out"
        )
    resized = detector.detector.resize.get_transform(pixels).apply_image(pixels)
    return torch.as_tensor(np.ascontiguousarray(resized.transpose(2, 0, 1)))


def _rgb(detector: ShownDetector, image: torch.Tensor) -> torch.Tensor:
    ordered = image if detector.detector.cfg.INPUT.FORMAT == "RGB" else image.flip(0)
    return ordered.float() / 255


def _objects(found: Mapping[str, Sequence[Found]], most: int) -> list[_Object]:
    """Return the objects that the surest boxes of each detector are on, so many of each, those of
    the first detector first; with the boxes of all detectors on them, sure or not."""
    objects: list[_Object] = []
    taken: dict[str, set[int]] = {name: set() for name in found}

    def match(one: _Object, name: str) -> None:
        near = {
            place: _iou(one.whole, box.whole)
            for place, box in enumerate(found[name])
            if box.label == one.label and place not in taken[name]
        }
        place = max(near, key=lambda place: near[place], default=-1)
        if near.get(place, 0.0) >= _SAME_OBJECT:
            one.places[name] = place
            taken[name].add(place)

    for name, boxes in found.items():
        for one in objects:
            match(one, name)
        for place, box in enumerate(boxes[:most]):
            if place not in taken[name]:
                objects.append(_Object(box.label, box.whole, {name: place}))
                taken[name].add(place)
    for one in objects:
        for name in found:
            if name not in one.places:
                match(one, name)
    return objects


def _iou(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(pairwise_iou(Boxes(a[None]), Boxes(b[None])))


def _cells(image: torch.Tensor, box: Explained | None, maps: int) -> list[Cell]:
    """Return the cells of a box: where it is, its gradient, its maps; or empty ones."""
    if box is None:
        return [Cell(None, "not found"), *[Cell(None)] * (maps + 1)]
    shares, found = box.shares(), box.found
    cells = [
        Cell(_framed(bytes_of(image), found.box), f"{found.label} {100 * found.score:.0f}%"),
        Cell(
            _framed(bytes_of(scaled_gradient(box.gradient)), found.box), _inside(shares[GRADIENT])
        ),
    ]
    for name, cam in box.maps.items():
        words = f"{name}, {_inside(shares[name])}"
        cells.append(Cell(_framed(_covered(image, cam), found.box), words))
    # two of the layers may be one
    return cells + [Cell(None)] * (2 + maps - len(cells))


def _inside(share: float | None) -> str:
    return "no influence" if share is None else f"{100 * share:.0f}% in the box"


def _covered(image: torch.Tensor, cam: torch.Tensor) -> Pixels:
    """Return an image in grey below a map, whose largest value is the brightest."""
    scaled = (cam / cam.max().clamp(min=torch.finfo(torch.float32).tiny)).numpy()
    colours: Any = matplotlib.colormaps["inferno"](scaled)[..., :3]
    grey = image.mean(0).numpy()[..., None]
    mixed = (1 - _SEEN) * grey + _SEEN * colours
    return bytes_of(torch.from_numpy(mixed).permute(2, 0, 1))


def _framed(pixels: Pixels, box: torch.Tensor) -> Pixels:
    image = Image.fromarray(pixels)
    pen = ImageDraw.Draw(image)
    x0, y0, x1, y1 = (round(float(v)) for v in box)
    x1, y1 = max(min(x1, image.width) - 1, x0), max(min(y1, image.height) - 1, y0)
    pen.rectangle((x0 - 1, y0 - 1, x1 + 1, y1 + 1), outline="black")
    pen.rectangle((x0, y0, x1, y1), outline="#33e07a")
    return np.asarray(image)


def _figures(
    name: str,
    path: Path,
    box: Explained,
    layers: Sequence[str],
    shares: dict[str, dict[str, list[float]]],
) -> list[dict[str, Any]]:
    """Return the rows of a box, and add its shares to those of its detector."""
    rows = []
    asked = {box.own if each == OWN else each: each for each in layers}
    for which, share in box.shares().items():
        rows.append(
            {
                "network": name,
                "image": str(path),
                "class": box.found.label,
                "score": box.found.score,
                "box": " ".join(f"{float(v):.4f}" for v in box.found.whole),
                "map": which,
                "share_inside": share,
            }
        )
        if share is not None:
            metric = f"{_INSIDE}, {asked.get(which, which)}"
            shares.setdefault(metric, {}).setdefault(name, []).append(share)
    return rows


def _means(
    detectors: Sequence[ShownDetector], shares: dict[str, dict[str, list[float]]]
) -> list[Mean]:
    """Return the mean shares of each detector over its boxes; their objects are not the same."""
    return [
        mean
        for metric, of in shares.items()
        for each in detectors
        if each.name in of
        for mean in means_over_images({each.name: of[each.name]}, metric)
    ]
