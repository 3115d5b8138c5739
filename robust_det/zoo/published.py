"""The published models by name: what they are, what was reported of them, where they are.

Two tables beside this file. ``published.csv`` holds the 67 ImageNet classifiers released with
Salman et al. 2020, with their reported top-1; they are in :data:`HUB_REPOSITORY`.
``stylized.csv`` holds the ResNet-50s of Geirhos et al. 2019 that were trained on
Stylized-ImageNet, on it and ImageNet, and on both and then fine-tuned on ImageNet.
"""

from __future__ import annotations

import csv
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from robust_det.core.epsilon import format_eps
from robust_det.core.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from robust_det.checkpoints.backbone_file import BackboneCard

__all__ = [
    "HUB_REPOSITORY",
    "PUBLISHED",
    "STYLIZED",
    "PublishedModel",
    "all_models",
    "find_model",
    "get_model",
]

HUB_REPOSITORY = "madrylab/robust-imagenet-models"

# the names in published.csv that are not the registry's
_ARCHITECTURES = {
    "densenet": "densenet161",
    "mnasnet": "mnasnet1_0",
    "mobilenet": "mobilenet_v2",
    "shufflenet": "shufflenet_v2_x1_0",
}
_ENDS_IN_EPS = re.compile(r"(.+_eps)(\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class PublishedModel:
    """One published classifier of ImageNet's 1000 classes.

    Attributes:
        name: ``ARCH_NORM_epsEPS``. The number is the authors': for linf it is in 1/255, so
            ``resnet18_linf_eps4`` was trained with eps 4/255.
        arch: registry name.
        norm, eps: threat model of the training; eps in [0, 1] pixel units for both norms, 0 is
            standard training. Empty norm: there was no threat model.
        top1: reported ImageNet validation accuracy in percent, or None if none was reported.
        file: name of the original file.
        url: where it is if it is not in :data:`HUB_REPOSITORY`.
        sha256_prefix: first digits of the file's SHA-256, where the publisher states them.
    """

    name: str
    arch: str
    norm: str
    eps: float
    top1: float | None
    file: str
    url: str = ""
    sha256_prefix: str = ""

    def contradiction(self, card: BackboneCard | None) -> str:
        """Return in which way a file is of another model, or nothing; a file may not know."""
        if card is None:
            return ""
        same = card.eps is None or (
            math.isclose(card.eps, self.eps, rel_tol=1e-6)
            # what is trained with eps 0 has no norm to speak of
            and (card.norm == self.norm or not self.eps)
        )
        if same and card.arch == self.arch:
            return ""
        found, own = (
            " ".join(filter(None, (m.arch, m.norm, f"eps {format_eps(m.norm, m.eps)}")))
            for m in (card, self)
        )
        return f"holds {found}, not {own}"


def _rows(file: str) -> list[dict[str, str]]:
    with open(Path(__file__).with_name(file), newline="", encoding="utf-8") as table:
        return list(csv.DictReader(table))


def _published(row: dict[str, str]) -> PublishedModel:
    arch = _ARCHITECTURES.get(row["arch"], row["arch"])
    norm, number = row["norm"], float(row["eps"])
    return PublishedModel(
        name=f"{arch}_{norm}_eps{number:g}",
        arch=arch,
        norm=norm,
        eps=number / 255 if norm == "linf" else number,
        top1=float(row["imagenet_top1"]),
        file=row["file"],
    )


def _stylized(row: dict[str, str]) -> PublishedModel:
    file = row["url"].rpartition("/")[2]
    # torch.hub's convention: the name ends in the first digits of the hash
    prefix = file.removesuffix(".pth.tar").rpartition("-")[2]
    return PublishedModel(row["name"], "resnet50", "", 0.0, None, file, row["url"], prefix)


PUBLISHED = {model.name: model for model in map(_published, _rows("published.csv"))}
STYLIZED = {model.name: model for model in map(_stylized, _rows("stylized.csv"))}


def all_models() -> dict[str, PublishedModel]:
    """Return every model that can be fetched, by name."""
    return {**PUBLISHED, **STYLIZED}


def find_model(name: str) -> PublishedModel | None:
    """Return the model of that name, or None; ``eps4`` may be written as ``eps4.0``."""
    models = all_models()
    if name not in models and (match := _ENDS_IN_EPS.fullmatch(name)):
        name = f"{match[1]}{float(match[2]):g}"
    return models.get(name)


def get_model(name: str) -> PublishedModel:
    """Return the model of that name.

    Raises:
        UserError: there is none; the nearest name is suggested.
    """
    model = find_model(name)
    if model is None:
        raise UserError(
            f"no published model '{name}' (robust-det zoo list shows all)"
            f"{did_you_mean(name, all_models())}"
        )
    return model
