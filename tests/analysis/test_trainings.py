"""Ways of training, compared by the evaluations of their networks."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from robust_det.analysis.compare import compare
from robust_det.records import environment, write_record
from robust_det.records.base import File, Weights, as_json
from robust_det.records.pretrain import (
    AttackEvaluator,
    ImageSets,
    PretrainRecord,
    TrainImages,
    TrainingCost,
    ValImages,
)
from robust_det.records.robustness import (
    EnsembleMember,
    EvaluatedImages,
    RobustAccuracy,
    RobustnessRecord,
)

QUICK = [
    EnsembleMember("pgd-ce", "PGD", "cross_entropy", 0, 12, 10),
    EnsembleMember("pgd-margin", "PGD", "margin", 0, 12, 10),
]
STANDARD = [EnsembleMember("apgd-ce", "APGD", "cross_entropy", 0, 102, 100)]


def weights(name: str) -> Weights:
    return Weights(f"{name}/final.pth", hashlib.sha256(name.encode()).hexdigest())


def trained(folder: Path, name: str, seed: int, method: str, **config: Any) -> str:
    """Write the record of a pretraining run; return its name."""
    attack = AttackEvaluator("PGD", "l2", 0.25, 10, 0.0625, 500, "margin")
    record = PretrainRecord(
        name=name,
        arch="resnet18",
        norm="l2",
        eps=0.5 if method else 0.0,
        weights=weights(name),
        seed=seed,
        raw_config=as_json(
            {"SEED": seed, "OUTPUT_DIR": name, "TRAIN": {"METHOD": method or "pgd", **config}}
        ),
        environment=environment("cpu"),
        wall_time_s=120.0,
        data=ImageSets(TrainImages(1000, 10), ValImages(1000)),
        evaluators=[attack],
        metrics={"clean_top1": 60.0},
        processes=1,
        cost=TrainingCost(method or "standard", 4.0, 4.0, 1000),
    )
    write_record(folder / name, record)
    return name


def evaluated(folder: Path, name: str, budget: str, correct: int, felled: Sequence[int]) -> None:
    """Write the record of an evaluation of so many images right, and felled by each attack."""
    members = QUICK if budget == "quick" else STANDARD
    standing = correct - sum(felled)
    by = {one.name: count for one, count in zip(members, felled, strict=True)}
    record = RobustnessRecord(
        name=name,
        arch="resnet18",
        norm="l2",
        eps=0.5,
        weights=weights(name),
        seed=0,
        raw_config=as_json({}),
        environment=environment("cpu"),
        wall_time_s=60.0,
        data=EvaluatedImages("data/val", 1000, 5000, "cd" * 32, 10, 64, 64),
        metrics={"clean_top1": correct / 10},
        correct=correct,
        attack_norm="l2",
        budget=budget,
        budget_version=1,
        members=members,
        notes=[],
        robust=[RobustAccuracy(0.5, 0, by, standing, standing / 10, 0.0, 100.0)],
        not_finite=0,
        checks=None,
        images=File("images.csv", "ef" * 32),
    )
    write_record(folder / f"{name}_{budget}", record)


def test_means_over_seeds_and_what_stronger_attacks_add(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for seed, left in enumerate((200, 220, 270)):
        pgd = trained(runs, f"pgd{seed}", seed, "pgd")
        evaluated(runs, pgd, "quick", 500, (500 - left, 20))
        evaluated(runs, pgd, "standard", 500, (550 - left - seed,))
    trades = trained(runs, "trades", 0, "trades")
    evaluated(runs, trades, "quick", 450, (200, 10))
    evaluated(runs, trades, "standard", 450, (230,))
    _, text = compare([runs], tmp_path / "report")
    table = (tmp_path / "report" / "accuracy.md").read_text()
    (row,) = (line for line in table.splitlines() if line.startswith("| resnet18 L2 ε 0.5, pgd"))
    cells = [cell.strip().replace("\\", "") for cell in row.strip("|").split("|")]

    def interval(values: Sequence[float]) -> str:
        low, high = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
        return f"{np.mean(values):.1f} [{low:.1f}, {high:.1f}]"

    assert cells[1:4] == ["3", "50.0", interval([20, 22, 27])]
    assert cells[4] == interval([18, 20, 25])
    assert cells[5] == interval([15, 17.1, 22.2])
    gaps = [15 - 20, 17.1 - 22, 22.2 - 27]
    low, high = stats.t.interval(0.95, 2, np.mean(gaps), stats.sem(gaps))
    assert cells[6] == f"{np.mean(gaps):+.1f} [{low:+.1f}, {high:+.1f}]".replace("-", "−")
    assert cells[7:] == ["4 and 4", "2.0"]
    (row,) = (line for line in table.splitlines() if line.startswith("| resnet18 L2 ε 0.5, trades"))
    assert [cell.strip() for cell in row.strip("|").split("|")][1:6] == [
        "1",
        "45.0",
        "25.0",
        "24.0",
        "22.0",
    ]
    with open(tmp_path / "report" / "trainings.csv", newline="") as lines:
        found = list(csv.DictReader(lines))
    assert len(found) == 4 * 3
    assert [line["left_top1"] for line in found if line["attack"] == "apgd-ce"] == [
        "15.0",
        "17.1",
        "22.2",
        "22.0",
    ]
    assert "Trainings under L2 ε 0.5" in (tmp_path / "report" / "index.html").read_text()
    assert "left after apgd-ce" in text


def test_trainings_of_one_name_are_told_apart_by_their_keys(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for epochs in (1, 2):
        name = trained(runs, f"pgd{epochs}", 0, "pgd", EPOCHS=epochs)
        evaluated(runs, name, "standard", 500, (300 + epochs,))
    compare([runs], tmp_path / "report")
    table = (tmp_path / "report" / "accuracy.md").read_text()
    for epochs, left in ((1, "19.9"), (2, "19.8")):
        (row,) = (x for x in table.splitlines() if f"pgd, TRAIN.EPOCHS {epochs}" in x)
        assert left in row


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
def test_one_network_or_none_that_was_evaluated_is_no_comparison(
    seeds: Sequence[int], tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    for seed in seeds:
        trained(runs, f"pgd{seed}", seed, "pgd")
    evaluated(runs, "pgd0" if len(seeds) == 1 else "another", "standard", 500, (300,))
    _, text = compare([runs], tmp_path / "report")
    assert "Trainings" not in text
    assert not (tmp_path / "report" / "trainings.csv").exists()
