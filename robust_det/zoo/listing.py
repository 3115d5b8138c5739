"""What there is: the published models and where each stands here, then the user's own."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from dataclasses import dataclass

from tabulate import tabulate

from robust_det.core.epsilon import format_eps
from robust_det.core.errors import UserError, one_line
from robust_det.core.folders import backbone_folder, cached_file, download_folder
from robust_det.zoo.published import PublishedModel, all_models, find_model

__all__ = ["Entry", "entries", "table"]

HEADINGS = ("name", "architecture", "norm", "eps", "reported top-1", "here")


@dataclass(frozen=True)
class Entry:
    """One row.

    Attributes:
        name: as in ``robust://NAME``.
        arch, norm, eps: as in :class:`PublishedModel`; empty or None where nobody knows.
        top1: reported ImageNet accuracy in percent, of published models alone.
        state: of what is in ``$ROBUST_DET_BACKBONES``, which comes first, ``trained here`` (by
            robust-det pretrain) or ``yours``; else ``cached`` (converted), ``downloaded`` (the
            original alone, placed by hand) or ``-``.
    """

    name: str
    arch: str
    norm: str
    eps: float | None
    top1: float | None
    state: str


def entries(arch: str | None = None, norm: str | None = None) -> list[Entry]:
    """Return the published models, with own conversions in place of those of the same name, then
    all other own conversions.

    Args:
        arch, norm: those of this architecture, or norm, only.
    """
    own = sorted(file.stem for file in backbone_folder().glob("*.pth"))
    published = all_models()
    rows = [_own_entry(m.name) if m.name in own else _entry(m) for m in published.values()]
    rows += [_own_entry(name) for name in own if name not in published]
    return [row for row in rows if arch in (None, row.arch) and norm in (None, row.norm)]


def table(rows: Iterable[Entry], markdown: bool = False) -> str:
    """Return the rows as text for a terminal, or as Markdown."""
    cells = [
        (
            one_line(row.name),
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


def _entry(model: PublishedModel) -> Entry:
    if (cached := cached_file(model.name)).is_file():
        # what every reader looks for first; a look at the card would need torch
        state = "cached" if zipfile.is_zipfile(cached) else "cached, unreadable"
    else:
        state = "downloaded" if (download_folder() / model.file).is_file() else "-"
    return Entry(model.name, model.arch, model.norm, model.eps, model.top1, state)


def _own_entry(name: str) -> Entry:
    from robust_det.checkpoints.backbone_file import read_card
    from robust_det.checkpoints.pretrained import PRETRAINING

    try:
        card = read_card(backbone_folder() / f"{name}.pth")
    except UserError:  # one bad file must not hide the others
        return Entry(name, "", "", None, None, "yours, unreadable")
    if card is None:
        return Entry(name, "", "", None, None, "yours, of unknown origin")
    published = find_model(name)
    if published is not None and published.contradiction(card):
        state = "yours, misnamed"
    else:
        state = "trained here" if card.source_format == PRETRAINING else "yours"
    return Entry(name, card.arch, card.norm, card.eps, None, state)
