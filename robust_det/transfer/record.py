"""The record of a transfer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from robust_det.checkpoints.model import Model
from robust_det.core.config.reading import CfgNode, to_dict
from robust_det.core.files import sha256_file
from robust_det.records import environment
from robust_det.records.base import File, Weights, as_json
from robust_det.records.transfer import Selection, TransferData, TransferRecord
from robust_det.transfer.measure import attack_evaluators
from robust_det.transfer.sets import TransferSet
from robust_det.transfer.settings import quirks_of, trains_by_sgd

__all__ = ["Result", "transfer_record"]

_METRICS = (
    "top1",
    "mean_per_class",
    "clean_top5",
    "adversarial_top1",
    "adversarial_mean_per_class",
)


@dataclass(frozen=True)
class Result:
    """What came out of a transfer.

    Attributes:
        selection: how it was chosen.
        values: accuracies in percent and counts, see :func:`.measure.measured`.
        tested: test images that could be read, of which the accuracies are.
        skipped: images that could not be read.
        classifier: its file in the run's folder; None if it is none.
        seconds: of training, over all sessions; 0 where that is not known.
    """

    selection: Selection
    values: Mapping[str, float]
    tested: int
    skipped: int
    classifier: Path | None
    seconds: float = 0.0


def transfer_record(
    cfg: CfgNode,
    name: str,
    model: Model,
    backbone: Path,
    sha256: str,
    data: TransferSet,
    result: Result,
    *,
    device: str,
    processes: int,
    seconds: float,
) -> TransferRecord:
    """Return the record of a finished run.

    Args:
        cfg: the resolved config.
        name: of the run.
        model: the backbone.
        backbone, sha256: its file.
        data: the set.
        result: what came out.
        device, processes: where it ran.
        seconds: that it took, over all sessions.
    """
    used = data.used.sizes
    classifier = result.classifier
    return TransferRecord(
        name=name,
        arch=model.arch,
        norm=model.norm,
        eps=model.eps,
        weights=Weights(str(backbone), sha256, model.source_sha256),
        seed=cfg.SEED,
        raw_config=as_json(to_dict(cfg)),
        environment=environment(device),
        wall_time_s=round(seconds, 1),
        mode=cfg.TRANSFER.MODE,
        head="sgd" if trains_by_sgd(cfg) else cfg.TRANSFER.HEAD,
        data=TransferData(
            set=cfg.DATA.SET,
            classes=len(data.classes),
            headline=data.facts.headline,
            manifest=data.manifest.digest,
            train=used["train"],
            val=used["val"],
            test=result.tested,
            subset=cfg.TRANSFER.SUBSET,
            downscale=cfg.TRANSFER.DOWNSCALE,
            left_out=len(data.manifest.left_out),
            skipped=result.skipped,
        ),
        selection=result.selection,
        quirks=list(quirks_of(cfg)),
        evaluators=attack_evaluators(cfg, result.values),
        metrics={k: v for k, v in result.values.items() if k in _METRICS or "corrupted" in k},
        classifier=File(classifier.name, sha256_file(classifier)) if classifier else None,
        processes=processes,
    )
