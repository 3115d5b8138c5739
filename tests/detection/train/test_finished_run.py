"""What a run leaves behind: record, metrics, pictures, checkpoints, and a quiet terminal."""

import contextlib
import io
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from detectron2.config import get_cfg
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from robust_det.analysis.compare import compare
from robust_det.analysis.runs import runs_of
from robust_det.checkpoints.io import load_checkpoint
from robust_det.core.config.reading import flatten, to_dict
from robust_det.core.files import sha256_file
from robust_det.detection.config import load_config
from robust_det.detection.evaluation.metric_names import metric_names
from robust_det.detection.finetuning.jobs import FINAL
from robust_det.records import read_record
from robust_det.records.detection import DetectionRecord
from robust_det.records.store import load_records


def test_the_terminal_shows_bars_and_results_alone(
    finished: tuple[Path, Path, tuple[str, str]],
) -> None:
    _, folder, (printed, terminal) = finished
    lines = [line.split("] ", 1)[1] for line in printed.splitlines()]
    assert lines[0].startswith("finished: iteration 0 of 60 on ")
    assert lines[1] == "learning rate 0.02 for 4 images an update"
    # of a machine that is slow enough
    left = [line for line in lines if re.fullmatch(r"[\d.]+ s an iteration: about .* left", line)]
    assert len(left) <= 1
    results = [line for line in lines[2:] if line not in left]
    assert [line.split(" AP ")[0] for line in results] == ["finished: bbox", "finished: segm"]
    shown = [re.sub(r"\x1b\[.", "", part) for part in re.split("[\r\n]", terminal)]
    bars = ("train ", "evaluate ", "score ")
    stray = [s for s in shown if s.strip() and not s.lstrip().startswith(bars)]
    assert stray == []
    # with time left
    assert any("train run:" in s and "<" in s for s in shown)
    log = (folder / "log.txt").read_text()
    assert "Average Precision" in log and "total_loss" in log


def test_metrics_have_the_names_that_are_expected(
    finished: tuple[Path, Path, tuple[str, str]],
) -> None:
    config, folder, _ = finished
    record = read_record(folder, DetectionRecord)
    cfg, _ = load_config(str(config))
    found = {f"{task}/{name}" for task, values in record.metrics.items() for name in values}
    assert set(metric_names(cfg)) == found


def test_the_record_is_complete(
    finished: tuple[Path, Path, tuple[str, str]], backbone_file: Path, scenes: Path
) -> None:
    _, folder, _ = finished
    record = read_record(folder, DetectionRecord)
    assert (record.kind(), record.name) == ("detection", "finished")
    assert (record.arch, record.norm, record.eps) == ("resnet10_narrow", "l2", 0.5)
    assert record.weights.path == str(backbone_file)
    assert record.weights.sha256 == sha256_file(backbone_file)
    assert record.detector.sha256 == sha256_file(folder / FINAL)
    (train,), (test,) = record.data.train, record.data.test
    assert (train.images, test.images, test.classes) == (12, 6, 8)
    assert test.sha256 == sha256_file(scenes / "annotations/instances_val.json")
    assert record.schedule["SOLVER.MAX_ITER"] == 60
    assert record.seed == 0 and record.wall_time_s > 0
    assert record.config["MODEL"]["PIXEL_MEAN"] == pytest.approx([104.55, 132.6, 160.65])
    assert set(record.metrics) == {"bbox", "segm"}
    for key in ("MODEL.WEIGHTS", "OUTPUT_DIR", "MODEL.RESNETS.DEPTH", "SEED"):
        assert key not in record.protocol and key not in record.schedule
    for key in ("MODEL.RESNETS.NORM", "MODEL.BACKBONE.FREEZE_AT", "INPUT.MIN_SIZE_TRAIN"):
        assert key in record.protocol
    # features of our own that are off are no part of it
    ours = {**record.protocol, **record.schedule}.keys() - flatten(to_dict(get_cfg())).keys()
    assert not ours


def pycocotools_stats(annotations: Any, results: Any, task: Any) -> Any:
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(annotations))
        evaluation = COCOeval(truth, truth.loadRes(results), task)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats


def test_metrics_are_those_of_pycocotools(
    finished: tuple[Path, Path, tuple[str, str]], scenes: Path
) -> None:
    _, folder, _ = finished
    saved = folder / "inference/finished_val/coco_instances_results.json"
    metrics = read_record(folder, DetectionRecord).metrics
    for task in ("bbox", "segm"):
        results = json.loads(saved.read_text())
        if task == "segm":
            # without boxes, so that the areas are those of the masks, as Detectron2 has it
            for result in results:
                result.pop("bbox")
        stats = pycocotools_stats(scenes / "annotations/instances_val.json", results, task)
        for name, value in zip(("AP", "AP50", "AP75", "APs", "APm", "APl"), stats, strict=False):
            expected = None if value < 0 else pytest.approx(100 * value, abs=1e-9)
            assert metrics[task][name] == expected
        assert metrics[task]["AP"] > 0


def test_pictures_are_readable(finished: tuple[Path, Path, tuple[str, str]]) -> None:
    _, folder, _ = finished
    pictures = read_record(folder, DetectionRecord).pictures
    assert len(pictures) == 3
    for entry in pictures:
        for kind in ("ground_truth", "prediction"):
            with Image.open(folder / getattr(entry, kind)) as image:
                assert image.format == "JPEG"
                image.load()
                assert min(image.size) >= 96
                assert len(set(image.convert("L").tobytes())) > 20  # something is in it


def test_comparison_reads_the_record(
    finished: tuple[Path, Path, tuple[str, str]], tmp_path: Path
) -> None:
    _, folder, _ = finished
    (run,) = runs_of(load_records([folder / "record.json"], DetectionRecord))
    assert (run.norm, run.eps, run.seed) == ("l2", 0.5, 0)
    assert len(run.pictures) == 3 and set(run.metrics) == {"bbox", "segm"}
    compare([folder], tmp_path / "report")
    page = (tmp_path / "report/index.html").read_text()
    assert f"{run.metrics['bbox']['AP']:.2f}" in page or f"{run.metrics['bbox']['AP']:.1f}" in page


def test_tensorboard_has_the_loss(finished: tuple[Path, Path, tuple[str, str]]) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    _, folder, _ = finished
    events = EventAccumulator(str(folder / "tensorboard")).Reload()
    points = events.Scalars("total_loss")
    lines = [json.loads(line) for line in (folder / "metrics.json").read_text().splitlines()]
    logged = {line["iteration"]: line["total_loss"] for line in lines if "total_loss" in line}
    assert points and all(math.isfinite(point.value) for point in points)
    assert points[-1].value == pytest.approx(logged[points[-1].step], rel=1e-5)


def test_checkpoints_say_what_they_are(
    finished: tuple[Path, Path, tuple[str, str]], backbone_file: Path
) -> None:
    _, folder, _ = finished
    assert (folder / "last_checkpoint").read_text() == FINAL
    card = load_checkpoint(backbone_file)["robust_det"]
    for name, iteration in (("model_0000009.pth", 9), (FINAL, 59)):
        content = load_checkpoint(folder / name)
        assert content["iteration"] == iteration and content["robust_det"] == card
