"""Simulated runs, for tests alone: copies of committed records whose figures are drawn."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support import ROOT

RESULTS = ROOT / "docs" / "results"
ARCHS = ("resnet18", "resnet34", "resnet50", "wide_resnet50_2", "vgg16_bn", "densenet161")
EPS = (0.0, 0.5, 1.0, 3.0, 5.0)
SETS = ("dtd", "pets", "cars", "food", "sun397", "flowers", "aircraft", "birdsnap", "cifar10")
MODES = ("fixed-feature", "full-network")
_MODELS = {
    "pretrain": "pretraining/runs/pgd_seed0/record.json",
    "robustness": "pretraining/runs/pgd_seed0_quick/record.json",
    "transfer": "transfer/runs/small_flowers_r18_eps1_seed2_modefixed-feature_seed0/record.json",
    "detection": "detection/eps/runs/tiny_r18_eps1_bccd_seed0/record.json",
}


def write_simulated(folder: Path, number: int) -> None:
    """Write so many records below a folder, each marked as simulated by its name."""
    draw = random.Random(0)
    models = {kind: json.loads((RESULTS / path).read_text()) for kind, path in _MODELS.items()}
    for count, (kind, name, record) in enumerate(_records(models, draw)):
        if count == number:
            return
        record["name"] = f"simulated_{name}"
        record["kind"] = kind
        run = folder / record["name"]
        run.mkdir(parents=True)
        (run / "record.json").write_text(json.dumps(record))
    raise AssertionError(f"there are fewer than {number}")


def _records(
    models: dict[str, Any], draw: random.Random
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for seed in range(6):
        for arch in ARCHS:
            for eps in EPS:
                yield from _of_backbone(models, draw, arch, eps, seed)


def _of_backbone(
    models: dict[str, Any], draw: random.Random, arch: str, eps: float, seed: int
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    name = f"{arch}_eps{eps:g}_seed{seed}"
    sha256 = hashlib.sha256(name.encode()).hexdigest()

    def copy(kind: str) -> dict[str, Any]:
        record: dict[str, Any] = json.loads(json.dumps(models[kind]))
        record |= {"arch": arch, "eps": eps, "norm": "l2", "seed": seed}
        record["wall_time_s"] = draw.uniform(10, 1000)
        if kind in ("pretrain", "robustness"):
            record["weights"]["sha256"] = sha256
        else:
            record["weights"] = {"path": f"{name}.pth", "sha256": sha256}
        return record

    trained = copy("pretrain")
    trained["metrics"]["clean_top1"] = 70 - 3 * eps + draw.gauss(0, 0.5)
    yield "pretrain", name, trained
    evaluated = copy("robustness")
    evaluated["metrics"]["clean_top1"] = trained["metrics"]["clean_top1"]
    yield "robustness", f"{name}_quick", evaluated
    for mode in MODES:
        for data in SETS:
            one = copy("transfer")
            one["config"]["TRANSFER"]["MODE"] = mode
            one["data"]["set"] = data
            for metric in one["metrics"]:
                one["metrics"][metric] = 60 + eps * (mode == MODES[0]) + draw.gauss(0, 1)
            one.pop("classifier", None)
            yield "transfer", f"{name}_{data}_{mode}", one
    one = copy("detection")
    one["metrics"]["bbox"]["AP"] = 30 + eps / 2 + draw.gauss(0, 1)
    one.pop("detector", None)
    one.pop("detections", None)
    yield "detection", f"{name}_bccd", one
