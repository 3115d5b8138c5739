"""Backbones that were trained on Stylized-ImageNet, told by their name or hash."""

from __future__ import annotations

from pathlib import PurePath

from robust_det.records import Record
from robust_det.zoo.published import STYLIZED

__all__ = ["texture_training"]


def texture_training(record: Record) -> str:
    """Return the name of the published texture-trained model that a run started from, or nothing.

    Told by the first digits of its file's SHA-256, or by its name in the zoo or as a file. Such
    networks have eps 0 and are no standard ones.
    """
    weights = record.weights
    name = PurePath(weights.path.removeprefix("robust://")).name.partition(".")[0]
    for model in STYLIZED.values():
        hashes = (weights.sha256, weights.source_sha256)
        if name == model.name or any(one.startswith(model.sha256_prefix) for one in hashes):
            return model.name
    return ""
