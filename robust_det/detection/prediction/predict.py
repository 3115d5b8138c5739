"""The job of ``robust-det predict``."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from robust_det.core.config.reading import to_dict
from robust_det.core.errors import UserError
from robust_det.core.files import sha256_file, write_atomically
from robust_det.core.progress import progress_bar
from robust_det.detection.detector import Detector
from robust_det.detection.prediction.batches import Loaded, batches, load_ahead
from robust_det.detection.prediction.journal import Journal
from robust_det.detection.prediction.overlay import Drawing
from robust_det.detection.prediction.results import coco_document, record_of
from robust_det.detection.prediction.sources import Item, Source
from robust_det.detection.prediction.video import Video, write_video

__all__ = ["JOURNAL_NAME", "PICTURES_NAME", "PREDICTIONS_NAME", "predict"]

logger = logging.getLogger(__name__)

PREDICTIONS_NAME = "predictions.json"
JOURNAL_NAME = "predictions.jsonl"
PICTURES_NAME = "pictures"


def predict(
    detector: Detector,
    source: Source,
    output: Path,
    *,
    batch_size: int = 4,
    pictures: bool = True,
    score_threshold: float = 0.5,
    overwrite: bool = False,
) -> dict[str, str]:
    """Detect objects on all images of a source that are not done yet, and write all results.

    Args:
        detector: finds them; those below its own score threshold are dropped.
        source: the images.
        output: folder of ``predictions.json``, its journal, and ``pictures``.
        batch_size: images at a time; the results do not depend on it.
        pictures: draw them; of a video, also as a video.
        score_threshold: of an object to be drawn.
        overwrite: do all images again.

    Returns:
        The images that could not be read, and why. They are tried again by the next run.

    Raises:
        UserError: ``output`` holds predictions of another detector or of other images, or the
            batch does not fit into the memory of the GPU.
    """
    settings = _settings(detector, source, score_threshold if pictures else None)
    journal = Journal(output / JOURNAL_NAME, settings, overwrite)
    drawing = None
    if pictures:
        order = detector.cfg.INPUT.FORMAT
        drawing = Drawing(output / PICTURES_NAME, detector.categories, order, score_threshold)
    names: list[str] = []
    unreadable: dict[str, str] = {}
    divisibility: Any = detector.model.get_submodule("backbone").size_divisibility
    with progress_bar(len(source), "predict", "images") as bar:

        def pending() -> Iterator[tuple[Item, Any]]:
            for item, what in source.items(lambda item: not journal.has(item)):
                names.append(item.name)
                if journal.has(item):
                    bar.update()
                else:
                    yield item, what

        def readable() -> Iterator[Loaded]:
            for loaded in load_ahead(detector, source, pending(), 2 * batch_size):
                if loaded.problem:
                    unreadable[loaded.item.name] = loaded.problem
                    bar.update()
                else:
                    yield loaded

        for batch in batches(readable(), batch_size, divisibility):
            records = []
            for loaded, instances in zip(batch, _detect(detector, batch), strict=True):
                if drawing is not None:
                    drawing.draw(loaded.item.name, loaded.pixels, instances)
                records.append(record_of(loaded, instances, detector.categories))
            journal.add(records)
            bar.update(len(batch))
    done = [journal.records[name] for name in names if name not in unreadable]
    document = coco_document(
        done, detector.categories, _info(detector, source, settings["weights"])
    )
    text = json.dumps(document).encode()
    write_atomically(output / PREDICTIONS_NAME, lambda file: file.write(text))
    if isinstance(source, Video) and drawing is not None:
        _draw_video(source, drawing, names, output)
    return unreadable


def _settings(detector: Detector, source: Source, drawn_from: float | None) -> dict[str, Any]:
    """Return what the results depend on."""
    cfg = to_dict(detector.cfg)
    test = {"DETECTIONS_PER_IMAGE": cfg["TEST"]["DETECTIONS_PER_IMAGE"]}
    if cfg["TEST"]["AUG"]["ENABLED"]:
        test["AUG"] = cfg["TEST"]["AUG"]
    return {
        "weights": sha256_file(detector.path),
        "input": str(source.place),
        "pictures_from_score": drawn_from,
        "MODEL": {k: v for k, v in cfg["MODEL"].items() if k not in ("DEVICE", "WEIGHTS")},
        "INPUT": {key: cfg["INPUT"][key] for key in ("FORMAT", "MIN_SIZE_TEST", "MAX_SIZE_TEST")},
        "TEST": test,
    }


def _info(detector: Detector, source: Source, sha256: str) -> dict[str, Any]:
    return {
        "description": f"detections on {source.place}",
        "detector": str(detector.path),
        "sha256": sha256,
    }


@torch.no_grad()
def _detect(detector: Detector, batch: list[Loaded]) -> list[Any]:
    try:
        outputs = detector.finder([loaded.model_input() for loaded in batch])
    except torch.cuda.OutOfMemoryError as error:
        raise UserError(
            f"{len(batch)} images do not fit into the GPU's memory; lower --batch-size"
        ) from error
    return [output["instances"].to("cpu") for output in outputs]


def _draw_video(video: Video, drawing: Drawing, names: list[str], output: Path) -> None:
    path = output / f"{video.place.stem}.mp4"
    if not write_video(path, map(drawing.path, names), video.rate):
        logger.warning(f"this OpenCV cannot encode {path.name}; its frames are in {drawing.folder}")
