"""What there is: the published models and where each stands here, then the user's own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tabulate import tabulate

from robust_det.errors import UserError
from robust_det.zoo.folders import backbone_folder, cached_file, download_folder
from robust_det.zoo.registry import PublishedModel, all_models

if TYPE_CHECKING:
    from robust_det.checkpoints.backbone_file import BackboneCard

__all__ = ["Entry", "entries", "format_eps", "table"]

HEADINGS = ("name", "architecture", "norm", "eps", "reported top-1", "here")


@dataclass(frozen=True)
class Entry:
    """One row.

    Attributes:
        name: as in ``robust://NAME``.
        arch, norm, eps: as in :class:`PublishedModel`; empty or None where nobody knows.
        top1: reported ImageNet accuracy in percent.
        state: of what is in ``$ROBUST_DET_BACKBONES``, which comes first, ``trained here`` (by
            tools/pretrain.py) or ``yours``; else ``cached`` (converted), ``downloaded`` (the
            original alone) or ``-``.
    """

    name: str
    arch: str
    norm: str
    eps: float | None
    top1: float | None
    state: str


def entries(arch: str | None = None, norm: str | None = None) -> list[Entry]:
    """Return the published models, then own conversions of other names.

    Args:
        arch, norm: those of this architecture, or norm, only.
    """
    published = all_models()
    rows = [Entry(m.name, m.arch, m.norm, m.eps, m.top1, _state(m)) for m in published.values()]
    own = sorted(file.stem for file in backbone_folder().glob("*.pth"))
    rows += [_own_entry(name) for name in own if name not in published]
    return [row for row in rows if arch in (None, row.arch) and norm in (None, row.norm)]


def table(rows: Iterable[Entry], markdown: bool = False) -> str:
    """Return the rows as text for a terminal, or as Markdown."""
    cells = [
        (
            row.name,
            row.arch or "?",
            row.norm or "-",
            format_eps(row.norm, row.eps),
            "-" if row.top1 is None else f"{row.top1:.2f}",
            row.state,
        )
        for row in rows
    ]
    # as text: tabulate would print 62.80 as 62.8
    return tabulate(
        cells,
        HEADINGS,
        tablefmt="github" if markdown else "simple",
        disable_numparse=True,
        colalign=("left", "left", "left", "right", "right", "left") if cells else None,
    )


def format_eps(norm: str, eps: float | None) -> str:
    """Return eps as people write it: ``4/255`` for linf, ``3`` for l2."""
    if eps is None:
        return "?"
    return f"{eps * 255:.4g}/255" if norm == "linf" and eps else f"{eps:g}"


def _state(model: PublishedModel) -> str:
    own = backbone_folder() / f"{model.name}.pth"
    if own.is_file():
        return _own_state(_card(own))
    if cached_file(model.name).is_file():
        return "cached"
    return "downloaded" if (download_folder() / model.file).is_file() else "-"


def _own_entry(name: str) -> Entry:
    card = _card(backbone_folder() / f"{name}.pth")
    if card is None or isinstance(card, UserError):
        return Entry(name, "", "", None, None, _own_state(card))
    return Entry(name, card.arch, card.norm, card.eps, None, _own_state(card))


def _card(file: Path) -> BackboneCard | UserError | None:
    from robust_det.checkpoints.backbone_file import read_card

    try:
        return read_card(file)
    except UserError as error:  # one bad file must not hide the others
        return error


def _own_state(card: BackboneCard | UserError | None) -> str:
    if isinstance(card, UserError):
        return "yours, unreadable"
    if card is None:
        return "yours, of unknown origin"
    from robust_det.checkpoints.pretrained import PRETRAINING

    return "trained here" if card.source_format == PRETRAINING else "yours"
