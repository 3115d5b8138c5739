"""Pictures of predictions beside the ground truth, for reports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetMapper, MetadataCatalog, get_detection_dataset_dicts
from detectron2.data import detection_utils as utils
from detectron2.utils.visualizer import Visualizer
from PIL import Image
from torch import nn

from robust_det.files import write_atomically

__all__ = ["draw_pictures", "drawable", "picture_scale", "save_picture"]

SCORE = 0.5
# in pixels: labels need room on the short side, and JPEG files end at 65,500
_SHORT_SIDE, _LONG_SIDE = 320, 4000


@torch.no_grad()
def draw_pictures(cfg: CfgNode, model: nn.Module, folder: Path) -> list[dict[str, str]]:
    """Draw the first images of the first test set, the same ones for every run on that data.

    Args:
        cfg: the run's config; ``TEST.PICTURES`` says how many.
        model: the trained detector; left in the mode it came in.
        folder: the run folder; pictures go to ``folder/pictures``.

    Returns:
        For each image its name and the two pictures, relative to ``folder``.
    """
    if cfg.TEST.PICTURES <= 0:
        return []
    name = cfg.DATASETS.TEST[0]
    dicts = get_detection_dataset_dicts([name], filter_empty=False)
    # those with something to find, if there are any
    dicts = [d for d in dicts if d["annotations"]] or dicts
    dicts = sorted(dicts, key=lambda d: d["file_name"])[: cfg.TEST.PICTURES]
    metadata, mapper = MetadataCatalog.get(name), DatasetMapper(cfg, is_train=False)
    training = model.training
    model.eval()
    entries = []
    for number, record in enumerate(dicts):
        image = utils.read_image(record["file_name"], "RGB")
        scale = picture_scale(image)
        instances = model([mapper(record)])[0]["instances"].to("cpu")
        instances = instances[instances.scores >= SCORE]
        # numbered, as images of several folders may share a name
        stem = f"{number:02d}_{Path(record['file_name']).stem}"
        entry = {"image": Path(record["file_name"]).name}
        for kind, drawn in (
            (
                "ground_truth",
                Visualizer(image, metadata, scale).draw_dataset_dict(drawable(record)),
            ),
            ("prediction", Visualizer(image, metadata, scale).draw_instance_predictions(instances)),
        ):
            entry[kind] = f"pictures/{stem}_{kind}.jpg"
            save_picture(folder / entry[kind], drawn.get_image())
        entries.append(entry)
    model.train(training)
    return entries


def drawable(record: dict[str, Any]) -> dict[str, Any]:
    """Return Detectron2's dict of an image as its visualizer draws it: with all masks or none."""
    things = record["annotations"]
    if all(thing.get("segmentation") for thing in things):
        return record
    bare = [{k: v for k, v in thing.items() if k != "segmentation"} for thing in things]
    return {**record, "annotations": bare}


def picture_scale(image: Any) -> float:
    """Return how much larger than an image, (H, W, 3), its picture is."""
    sides = image.shape[:2]
    return min(max(1.0, _SHORT_SIDE / min(sides)), _LONG_SIDE / max(sides))


def save_picture(path: Path, pixels: Any) -> None:
    """Write (H, W, 3) uint8 RGB pixels as a JPEG file, atomically."""
    image = Image.fromarray(pixels)
    write_atomically(path, lambda file: image.save(file, "JPEG", quality=90))
