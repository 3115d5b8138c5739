"""Pictures of predictions beside the ground truth, for reports."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog, get_detection_dataset_dicts
from detectron2.data.catalog import Metadata
from detectron2.structures import Instances
from detectron2.utils.visualizer import VisImage, Visualizer
from PIL import Image
from torch import nn

from robust_det.core.files import write_atomically
from robust_det.data.detection.segments import read_ids
from robust_det.detection.categories import ClassNames
from robust_det.detection.colours import ClassVisualizer, drawable
from robust_det.detection.datasets.registration import prepared_dataset
from robust_det.detection.evaluation.by_name import renumbering
from robust_det.detection.evaluation.picture_choice import choose_images, found_and_false
from robust_det.detection.mapping.decoding import read_image, read_map
from robust_det.detection.mapping.mapper import EvaluationMapper
from robust_det.detection.tasks import finds_objects, finds_stuff
from robust_det.records.detection import Picture

__all__ = ["draw_pictures", "picture_scale", "save_picture"]

SCORE = 0.5
# in pixels: labels need room on the short side, and JPEG files end at 65,500
_SHORT_SIDE, _LONG_SIDE = 320, 4000
# points a pixel of width, of which a page shows some 300
_LETTERS = 24 / 640


@torch.no_grad()
def draw_pictures(
    cfg: CfgNode, model: nn.Module, folder: Path, classes: ClassNames | None = None
) -> list[Picture]:
    """Draw images of the first test set, the same ones for every run on that data.

    They are chosen so that each class is seen, and what was found in each is counted.

    Args:
        cfg: the run's config; ``TEST.PICTURES`` says how many.
        model: the trained detector; left in the mode it came in.
        folder: the run folder; pictures go to ``folder/pictures``.
        classes: of the model, see :func:`~.evaluation.build_evaluator`.

    Returns:
        For each image its name and the two pictures, relative to ``folder``.
    """
    if cfg.TEST.PICTURES <= 0:
        return []
    name = cfg.DATASETS.TEST[0]
    dicts = get_detection_dataset_dicts([name], filter_empty=False)
    dicts = choose_images(dicts, cfg.TEST.PICTURES)
    metadata, mapper = MetadataCatalog.get(name), EvaluationMapper(cfg)
    draw, numbers = _drawing(cfg, metadata), renumbering(cfg, name, classes)
    training = model.training
    model.eval()
    entries = []
    for number, record in enumerate(dicts):
        image = read_image(record["file_name"], "RGB")
        scale = picture_scale(image)
        output = model([mapper(record)])[0]
        if numbers is not None:
            output = numbers.apply(output)
        # numbered, as images of several folders may share a name
        stem = f"{number:02d}_{Path(record['file_name']).stem}"
        paths = {}
        for kind, shown in (("ground_truth", None), ("prediction", output)):
            paths[kind] = f"pictures/{stem}_{kind}.jpg"
            drawn = draw(_canvas(image, metadata, scale), record, shown)
            save_picture(folder / paths[kind], drawn.get_image())
        image_name = Path(record["file_name"]).name
        truth, prediction = paths["ground_truth"], paths["prediction"]
        if finds_stuff(cfg) or "annotations" not in record:
            entries.append(Picture(image_name, truth, prediction))
        else:
            counts = found_and_false(record["annotations"], _drawn(output))
            entries.append(Picture(image_name, truth, prediction, *counts, SCORE))
    model.train(training)
    return entries


def _canvas(image: Any, metadata: Metadata, scale: float) -> ClassVisualizer:
    """What draws on an image, in letters that are read where its picture is shown small."""
    canvas = ClassVisualizer(image, metadata, scale)
    canvas._default_font_size = max(canvas._default_font_size, _LETTERS * image.shape[1])
    return canvas


# draws the ground truth of a dataset dictionary, or a model's output if there is one
_Draw = Callable[[Visualizer, dict[str, Any], dict[str, Any] | None], VisImage]


def _drawing(cfg: CfgNode, metadata: Metadata) -> _Draw:
    """Return what draws all that a config's model finds."""
    if not finds_stuff(cfg):
        return _draw_objects
    if not finds_objects(cfg):
        return _draw_stuff
    truth = prepared_dataset(metadata.name).segments()
    return functools.partial(_draw_panoptic, metadata, truth)


def _draw_objects(
    visualizer: Visualizer, record: dict[str, Any], output: dict[str, Any] | None
) -> VisImage:
    if output is None:
        return visualizer.draw_dataset_dict(drawable(record))
    return visualizer.draw_instance_predictions(_drawn(output))


def _drawn(output: Mapping[str, Any]) -> Instances:
    """The detections that are drawn."""
    instances = output["instances"].to("cpu")
    return instances[instances.scores >= SCORE]


def _draw_stuff(
    visualizer: Visualizer, record: dict[str, Any], output: dict[str, Any] | None
) -> VisImage:
    if output is None:
        return visualizer.draw_sem_seg(read_map(record["sem_seg_file_name"]))
    return visualizer.draw_sem_seg(output["sem_seg"].argmax(dim=0).cpu())


def _draw_panoptic(
    metadata: Metadata,
    truth: Mapping[Any, Mapping[str, Any]],
    visualizer: Visualizer,
    record: dict[str, Any],
    output: dict[str, Any] | None,
) -> VisImage:
    if output is not None:
        ids, segments = output["panoptic_seg"]
        return visualizer.draw_panoptic_seg(ids.cpu(), segments)
    annotation, segments = truth[record["image_id"]], []
    things = metadata.thing_dataset_id_to_contiguous_id
    for segment in annotation["segments_info"]:
        category = segment["category_id"]
        places = things if category in things else metadata.stuff_dataset_id_to_contiguous_id
        segments.append({**segment, "category_id": places[category], "isthing": category in things})
    ids = read_ids(Path(metadata.panoptic_root) / annotation["file_name"])
    return visualizer.draw_panoptic_seg(torch.from_numpy(ids), segments)


def picture_scale(image: Any) -> float:
    """Return how much larger than an image, (H, W, 3), its picture is."""
    sides = image.shape[:2]
    return min(max(1.0, _SHORT_SIDE / min(sides)), _LONG_SIDE / max(sides))


def save_picture(path: Path, pixels: Any) -> None:
    """Write (H, W, 3) uint8 RGB pixels as a JPEG file, atomically."""
    image = Image.fromarray(pixels)
    write_atomically(path, lambda file: image.save(file, "JPEG", quality=90))
