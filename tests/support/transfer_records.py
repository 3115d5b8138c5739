"""Records of transfers, as ``robust-det transfer`` writes them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from robust_det.records import Environment, write_record
from robust_det.records.base import Weights, as_json
from robust_det.records.pretrain import AttackEvaluator
from robust_det.records.transfer import Selection, TransferData, TransferRecord

__all__ = ["ENVIRONMENT", "Write", "attack_of", "write_transfer", "writer_below"]

Write = Callable[..., Path]

ENVIRONMENT = Environment(
    python="3.11.2",
    versions={"torch": "2.14.1"},
    commit="0123abcd",
    modified=False,
    device="cpu",
    threads=2,
    command=["-m", "robust_det", "transfer"],
    created="2026-11-20T10:00:00Z",
)


def attack_of(norm: str, eps: float, **fields: Any) -> AttackEvaluator:
    """Return an attack of ten steps on all of 100 images."""
    made = AttackEvaluator("PGD", norm, eps, steps=10, step_size=eps / 4, images=100)
    return msgspec.structs.replace(made, **fields)


def write_transfer(
    folder: Path,
    eps: float | None,
    top1: float | None,
    *,
    pretraining: int = 0,
    seed: int = 0,
    mode: str = "fixed-feature",
    set: str = "dtd",
    per_class: float | None = 40.0,
    adversarial: float | None = None,
    attack: AttackEvaluator | None = None,
    quirks: Sequence[str] = (),
    config: dict[str, Any] | None = None,
    data: dict[str, Any] | None = None,
    **fields: Any,
) -> Path:
    """Write a record and return its folder.

    Args:
        folder: of the run.
        eps: of the pretraining.
        top1, per_class, adversarial: accuracies in percent.
        pretraining: which of the pretraining runs of an eps it is.
        seed: of the transfer.
        mode: a head by logistic regression is that of fixed features.
        set: its name.
        attack: behind ``adversarial``.
        quirks: keys of ``PAPER``.
        config, data: in place of fields of these.
        fields: in place of others.
    """
    weights = hashlib.sha256(f"{fields.get('arch')} {eps} {pretraining}".encode()).hexdigest()
    metrics: dict[str, float | None] = {"top1": top1, "mean_per_class": per_class}
    if attack is not None:
        metrics["adversarial_top1"] = adversarial
    facts = {"classes": 47, "headline": "top1", "manifest": f"{set:0<64}", "train": 80, "val": 20}
    sizes = TransferData(**{"set": set, **facts, "test": 100, **(data or {})})  # type: ignore[arg-type]
    own = {
        "SEED": seed,
        "OUTPUT_DIR": str(folder),
        "DATA": {"ROOT": "dtd", "IMAGE_SIZE": 64, "RESIZE": 73},
        "TRANSFER": {"BACKBONE": f"{eps}-{pretraining}.pth", "MODE": mode},
        "EVAL": {"NORM": "l2", "EPS": eps or 0.0},
    }
    record = TransferRecord(
        **{
            "name": folder.name,
            "arch": "resnet18",
            "norm": "" if eps is None else "l2",
            "eps": eps,
            "weights": Weights(f"{eps}-{pretraining}.pth", weights),
            "seed": seed,
            "raw_config": as_json({**own, **(config or {})}),
            "environment": ENVIRONMENT,
            "wall_time_s": 90.0,
            "mode": mode,
            "head": "logreg" if mode == "fixed-feature" else "sgd",
            "data": sizes,
            "selection": Selection("validation", {"strength": 1e-3}),
            "quirks": list(quirks),
            "evaluators": [attack] if attack is not None else [],
            "metrics": metrics,
            **fields,
        }
    )
    folder.mkdir(parents=True)
    write_record(folder, record)
    return folder


def writer_below(folder: Path) -> Write:
    """Return :func:`write_transfer` in a folder of its own each time, below this one."""
    made = list[Path]()

    def write(*arguments: Any, **fields: Any) -> Path:
        made.append(write_transfer(folder / f"runs/run{len(made):02}", *arguments, **fields))
        return made[-1]

    return write
