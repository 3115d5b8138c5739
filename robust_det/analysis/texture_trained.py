"""Backbones that were trained on Stylized-ImageNet, told by their name or hash."""

from __future__ import annotations

from pathlib import PurePath

from robust_det.records import Record
from robust_det.zoo.published import STYLIZED

__all__ = ["TEXTURE_TRAINED", "note_of", "shown_arch", "texture_training"]

TEXTURE_TRAINED = "texture-trained"  # in the place of an eps


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


def shown_arch(record: Record) -> str:
    """Return the architecture as comparison has it: that of a texture-trained model is its name, so
    that it is compared with no row as the standard one, nor averaged with standard ones."""
    return texture_training(record) or record.arch


def note_of(arch: str) -> str:
    """Return what is to be known of rows of such an architecture; empty of any other."""
    if arch not in STYLIZED:
        return ""
    return f"{arch} was trained on Stylized-ImageNet: its ε is 0, and it is no standard backbone."
