"""The job of ``robust-det predict``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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
from robust_det.detection.prediction.output_folder import (
    JOURNAL_NAME,
    PICTURES_NAME,
    PREDICTIONS_NAME,
    check_output,
    drawn_video,
)
from robust_det.detection.prediction.overlay import Drawing
from robust_det.detection.prediction.results import coco_document, record_of
from robust_det.detection.prediction.sources import Item, Source
from robust_det.detection.prediction.video import Video, write_video

__all__ = ["Outcome", "predict"]


@dataclass(frozen=True)
class Outcome:
    """What a run has done.

    Attributes:
        images: with results in ``predictions.json``.
        reused: of these, done by an earlier run.
        detections: on all of them.
        unreadable: images that could not be read, and why. The next run tries them again.
        problems: what else of that which was asked for is missing.
    """

    images: int
    reused: int
    detections: int
    unreadable: dict[str, str]
    problems: Sequence[str]


def predict(
    detector: Detector,
    source: Source,
    output: Path,
    *,
    batch_size: int = 4,
    pictures: bool = True,
    score_threshold: float = 0.5,
    overwrite: bool = False,
) -> Outcome:
    """Detect objects on all images of a source that are not done yet, and write all results.

    Args:
        detector: finds them; those below its own score threshold are dropped.
        source: the images.
        output: folder of ``predictions.json``, its journal, and ``pictures``.
        batch_size: images at a time; the results do not depend on it.
        pictures: draw them; of a video, also as a video.
        score_threshold: of an object to be drawn.
        overwrite: do all images again.

    Raises:
        UserError: ``output`` holds predictions of another detector or of other images, or files
            that would be replaced; or the batch does not fit into the memory of the GPU.
    """
    check_output(output, source, pictures, overwrite)
    settings = _settings(detector, source, score_threshold if pictures else None)
    journal = Journal(output / JOURNAL_NAME, settings, overwrite)
    drawing = None
    if pictures:
        order = detector.cfg.INPUT.FORMAT
        drawing = Drawing(output / PICTURES_NAME, detector.categories, order, score_threshold)
    names: list[str] = []
    reused = 0
    unreadable: dict[str, str] = {}
    divisibility: Any = detector.model.get_submodule("backbone").size_divisibility
    with progress_bar(len(source), "predict", "images") as bar:

        def is_done(item: Item) -> bool:
            drawn = drawing is None or drawing.path(item.name).is_file()
            return drawn and journal.has(item)

        def pending() -> Iterator[tuple[Item, Any]]:
            nonlocal reused
            for item, what in source.items(lambda item: not is_done(item)):
                names.append(item.name)
                if is_done(item):
                    reused += 1
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
    problems = list(source.problems)
    if isinstance(source, Video) and drawing is not None:
        path = drawn_video(output, source.place)
        if not write_video(path, [drawing.path(name) for name in names], source):
            problems.append(
                f"this OpenCV cannot encode {path.name}; its frames are in {drawing.folder}"
            )
    return Outcome(len(done), reused, len(document["annotations"]), unreadable, problems)


def _settings(detector: Detector, source: Source, drawn_from: float | None) -> dict[str, Any]:
    """Return what the results depend on."""
    cfg = to_dict(detector.cfg)
    return {
        "weights": sha256_file(detector.path),
        "input": str(source.place),
        "pictures_from_score": drawn_from,
        "MODEL": {k: v for k, v in cfg["MODEL"].items() if k not in ("DEVICE", "WEIGHTS")},
        "INPUT": {key: cfg["INPUT"][key] for key in ("FORMAT", "MIN_SIZE_TEST", "MAX_SIZE_TEST")},
        "TEST": {"DETECTIONS_PER_IMAGE": cfg["TEST"]["DETECTIONS_PER_IMAGE"]},
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
        outputs = detector.model([loaded.model_input() for loaded in batch])
    except torch.cuda.OutOfMemoryError as error:
        raise UserError(
            f"{len(batch)} images do not fit into the GPU's memory; lower --batch-size"
        ) from error
    return [output["instances"].to("cpu") for output in outputs]
