"""What of a pretraining's config says how it was trained."""

from __future__ import annotations

from typing import Any

from robust_det.records.later_keys import completed
from robust_det.records.pretrain import PretrainRecord

__all__ = ["training_keys"]

# what differs between seeds, or changes nothing that is learned
_FREE_KEYS = {
    "SEED",
    "OUTPUT_DIR",
    "DEVICE",
    "DATA.ROOT",
    "DATA.WORKERS",
    "MODEL.INIT",  # each seed may start from a file of its own
    "TRAIN.CHECKPOINT_STEPS",
}
_FREE_PARTS = ("EVAL.", "LOG.")


def training_keys(run: PretrainRecord) -> dict[str, Any]:
    """Return the keys by which ways of training are told apart, those that are later ones filled in
    with what the run did."""
    return {
        key: value
        for key, value in completed(run.config).items()
        if key not in _FREE_KEYS and not key.startswith(_FREE_PARTS)
    }
