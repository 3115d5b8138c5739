"""The features of a set's images on one backbone, from the cache where they are in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from robust_det.checkpoints.model import Model
from robust_det.data.classification.crops import eval_transform
from robust_det.data.transfer.images import ManifestImages
from robust_det.data.transfer.manifest import Entry, Manifest
from robust_det.transfer.features.cache import FeatureKey, cached_features, images_digest
from robust_det.transfer.features.extraction import Features, extract
from robust_det.transfer.features.network import feature_network

__all__ = ["View", "features_of_images"]


@dataclass(frozen=True)
class View:
    """What is done to an image before a frozen network sees it.

    Attributes:
        size, resize, downscale: in pixels, see :func:`.crops.eval_transform`.
        mean, std: of the normalisation, RGB in [0, 1].
    """

    size: int
    resize: int
    downscale: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


def features_of_images(
    model: Model,
    where: str,
    sha256: str,
    view: View,
    manifest: Manifest,
    base: Path,
    entries: Sequence[Entry],
    *,
    name: str,
    device: torch.device,
    batch_size: int,
    workers: int = 0,
    precision: str = "fp32",
    on_corrupt: str = "stop",
) -> Features:
    """Return the features of images in their order.

    Args:
        model, where, sha256: the backbone, its file for messages, and the file's hash.
        view: how images are seen.
        manifest, base: the set, and the folder that its paths are relative to.
        entries: some of its images.
        name, device, batch_size, workers, precision, on_corrupt: see :func:`.extraction.extract`.

    Raises:
        UserError: see there, and :func:`.network.feature_network`.
    """
    network = feature_network(dataclasses.replace(model, mean=view.mean, std=view.std), where)

    def compute() -> Features:
        transform = eval_transform(view.resize, view.size, view.downscale)
        return extract(
            network,
            ManifestImages(manifest, entries, base, transform),
            name=name,
            device=device,
            batch_size=batch_size,
            workers=workers,
            precision=precision,
            on_corrupt=on_corrupt,
        )

    digest = images_digest(entries, manifest.classes)
    key = FeatureKey(sha256, digest, dataclasses.asdict(view), precision)
    return cached_features(key, compute, on_corrupt=on_corrupt)
