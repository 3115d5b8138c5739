"""Run records to compare, written to disk as the jobs write them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from robust_det.analysis.significance.bootstrap import bootstrap
from robust_det.analysis.significance.matching import match
from robust_det.core.files import sha256_file
from robust_det.data.synthetic.flawed_detections import make_detections, make_truth

WriteRun = Callable[..., Path]
TRUTH = make_truth(60, 3, seed=1)
COCO = {"name": "COCOEvaluator", "library": "pycocotools", "version": "2.0.11"}


@pytest.fixture
def write_run(tmp_path: Path) -> WriteRun:
    """Return a function that writes a detection record and returns the run's folder.

    Every keyword replaces a field of the record; ``ap`` and ``segm`` are the APs, ``test`` the
    name of the test set and ``iterations`` the length of the schedule.
    """

    def write(
        run: str,
        eps: float,
        ap: float | None,
        seed: int = 0,
        *,
        segm: float | None = None,
        test: str = "shapes_val",
        iterations: int = 100,
        sha256: str | None = None,
        **fields: Any,
    ) -> Path:
        norm = fields.get("norm", "l2")
        arch = fields.get("arch", "resnet18")
        metrics = {"bbox": {"AP": ap, "AP50": 60.0, "AP-star": ap}}
        if segm is not None:
            metrics["segm"] = {"AP": segm}
        record = {
            "schema": 2,
            "kind": "detection",
            "name": run,
            "arch": arch,
            "norm": norm,
            "eps": eps,
            "weights": {"path": f"{arch}.pth", "sha256": sha256 or f"{arch}-{norm}-{eps}"},
            "data": {
                "train": [
                    {
                        "name": "shapes_train",
                        "images": 160,
                        "annotations": 9,
                        "classes": 3,
                        "sha256": "aa" * 32,
                    }
                ],
                "test": [
                    {
                        "name": test,
                        "images": 40,
                        "annotations": 5,
                        "classes": 3,
                        "sha256": "bb" * 32,
                    }
                ],
            },
            "schedule": {"SOLVER.MAX_ITER": iterations, "SOLVER.BASE_LR": 0.02},
            "protocol": {"MODEL.META_ARCHITECTURE": "GeneralizedRCNN"},
            "evaluators": [COCO],
            "detections": {},
            "segmentations": {},
            "pictures": [],
            "seed": seed,
            "metrics": metrics,
            "config": {},
            "environment": {
                "python": "3.11.2",
                "versions": {"torch": "2.14.1"},
                "commit": "0123abcd",
                "modified": False,
                "device": "cpu",
                "threads": 2,
                "command": ["tools/train_net.py", "--config", "a file.yaml"],
                "created": "2026-11-20T10:00:00Z",
            },
            "wall_time_s": 3725.0,
            **fields,
        }
        folder = tmp_path / "runs" / run
        folder.mkdir(parents=True)
        (folder / "record.json").write_text(json.dumps(record))
        return folder

    return write


@pytest.fixture
def scored_run(write_run: WriteRun, tmp_path: Path) -> WriteRun:
    """Return a function that writes a run with its detections.

    They are of some quality, or given as ``found``; ``truth`` is what they are scored on, and
    ``image_folder`` where its images are.
    """

    def write(
        name: str,
        eps: float,
        quality: float = 0.8,
        seed: int = 0,
        *,
        truth: dict[str, Any] = TRUTH,
        found: list[dict[str, Any]] | None = None,
        image_folder: str = "",
        **fields: Any,
    ) -> Path:
        annotations = tmp_path / "truth.json"
        annotations.write_text(json.dumps(truth))
        if found is None:
            found = make_detections(truth, 15, quality=quality, seed=seed + int(10 * eps))
        one = bootstrap(match(truth, found, "bbox"), 1, seed=0)
        sets = [
            {
                "name": "shapes_val",
                "images": len(truth["images"]),
                "annotations": len(truth["annotations"]),
                "classes": len(truth["categories"]),
                "annotations_file": str(annotations),
                "image_folder": image_folder,
                "sha256": sha256_file(annotations),
            }
        ]
        path = "inference/shapes_val/coco_instances_results.json"
        file = tmp_path / f"{name}_files" / path
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(found))
        detections = {"shapes_val": {"path": path, "sha256": sha256_file(file)}}
        fields = {"data": {"train": [], "test": sets}, "detections": detections, **fields}
        folder = write_run(name, eps, one.values["AP"], seed=seed, **fields)
        shutil.copytree(tmp_path / f"{name}_files", folder, dirs_exist_ok=True)
        return folder

    return write
