"""What has to be equal for two transfers to be comparable, and how it is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from robust_det.data.transfer.catalogue import MEAN_PER_CLASS, TOP1, facts_of
from robust_det.records.base import Change
from robust_det.records.later_keys import completed
from robust_det.records.transfer import OWN_SETS, TransferData, TransferRecord

__all__ = ["METRIC_LABELS", "Conditions", "condition_labels", "conditions_of"]

METRIC_LABELS = {TOP1: "top-1", MEAN_PER_CLASS: "mean per class"}

# where and how fast a run goes, which backbone and seed it has, and what is measured at its end:
# the attack of the evaluation is the backbone's unless told otherwise
_FREE_KEYS = {
    "OUTPUT_DIR",
    "DEVICE",
    "SEED",
    "DATA.ROOT",
    "DATA.MANIFEST",
    "DATA.WORKERS",
    "TRAIN.CHECKPOINT_STEPS",
    "TRANSFER.BACKBONE",
    "TRANSFER.CORRUPTIONS",
    "LOG.MLFLOW",
    "LOG.WANDB",
    "EVAL.BATCH_SIZE",
    "EVAL.NORM",
    "EVAL.EPS",
    "EVAL.STEPS",
    "EVAL.STEP_SIZE",
    "EVAL.OBJECTIVE",
    "EVAL.RESTARTS",
    "EVAL.ADVERSARIAL_IMAGES",
}


@dataclass(frozen=True)
class Conditions:
    """All that has to be equal for two runs to be comparable.

    Attributes:
        data: the set; ``train`` is what the tested classifier was trained on, ``val`` 0.
        mode, head: how it was transferred.
        quirks: of the paper's code, by their keys.
        config: the other keys, flat.
        changes: of the config on the way.
        set_name: of the record; a folder may be called otherwise each time.
    """

    data: TransferData
    mode: str
    head: str
    quirks: tuple[str, ...]
    config: Mapping[str, Any]
    changes: tuple[Change, ...]
    set_name: str = field(default="", compare=False)

    @property
    def set_title(self) -> str:
        """The set's name in papers; of a set of the user's own, what its folder or file is called,
        and a part of its digest."""
        if self.data.set in OWN_SETS:
            return f"{self.set_name} {self.data.manifest[:8]}"
        return facts_of(self.data.set).title

    @property
    def how(self) -> str:
        """``fixed-feature (logreg)`` or ``full-network``."""
        return f"{self.mode} ({self.head})" if self.mode == "fixed-feature" else self.mode

    @property
    def images(self) -> str:
        """What was done to the images, such as ``, 10 images a class``; empty if nothing."""
        subset, side = self.data.subset, self.data.downscale
        part = f"{subset:g} images a class" if subset >= 1 else f"{subset:.3g} of the images"
        return (f", shrunk to {side} px" if side else "") + (f", {part}" if subset else "")

    @property
    def headline(self) -> str:
        """The metric that is reported of the set, in words."""
        return METRIC_LABELS[self.data.headline]

    @property
    def other(self) -> str:
        """The metric beside the headline, as records call it."""
        return TOP1 if self.data.headline == MEAN_PER_CLASS else MEAN_PER_CLASS

    @property
    def quirks_in_words(self) -> str:
        """``the paper's quirks: normalisation, select on test``; empty if there are none."""
        names = [key.partition(".")[2].lower().replace("_", " ") for key in self.quirks]
        return f"the paper's quirks: {', '.join(names)}" if names else ""


def conditions_of(record: TransferRecord) -> Conditions:
    """Return the conditions of a run."""
    data = record.data
    flat = completed(record.config)
    return Conditions(
        data=msgspec.structs.replace(data, train=data.train + data.val, val=0),
        mode=record.mode,
        head=record.head,
        quirks=tuple(sorted(record.quirks)),
        config={
            key: value
            for key, value in flat.items()
            if key not in _FREE_KEYS and not key.startswith("PAPER.")
        },
        changes=tuple(record.changes),
        set_name=record.set_name,
    )


def condition_labels(conditions: Conditions) -> dict[str, Any]:
    """Return each condition by its name in a list of differences."""
    facts: dict[str, Any] = {
        f"data: {name}": getattr(conditions.data, name)
        for name in conditions.data.__struct_fields__
    }
    facts |= {"mode": conditions.mode, "head": conditions.head}
    facts["quirks"] = ", ".join(conditions.quirks) or "none"
    if conditions.changes:
        facts["changes"] = "; ".join(
            f"{one.key} {one.before} to {one.after} at step {one.step}"
            for one in conditions.changes
        )
    return facts | dict(conditions.config)
