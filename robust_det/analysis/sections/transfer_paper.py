"""The tables of transfers for a paper."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from robust_det.analysis.latex import PaperTable
from robust_det.analysis.transfer.blocks import (
    HOW_TO_READ,
    Block,
    best_block,
    gains_block,
    pair_block,
    setting_block,
)
from robust_det.analysis.transfer.contests import HOW_TO_READ_CONTESTS, Family
from robust_det.analysis.transfer.grouping import Setting
from robust_det.analysis.transfer.modes import HOW_TO_READ_MODES, Pair
from robust_det.analysis.transfer.published import (
    HOW_TO_READ_PUBLISHED,
    Published,
    published_block,
)

__all__ = ["paper_tables"]

_OF_MEANS = "[low, high] is the 95% t interval over pretraining runs"


def paper_tables(
    settings: Sequence[Setting],
    families: Sequence[Family],
    pairs: Sequence[Pair],
    published: Sequence[Published],
) -> Iterator[PaperTable]:
    """Yield the tables that comparison has of transfers."""
    for setting in settings:
        numbers = [len(row.backbones) for row in setting.rows]
        yield _table(setting_block(setting), numbers, HOW_TO_READ)
    how = f"{_OF_MEANS}, and of differences that of Welch. {HOW_TO_READ_CONTESTS}"
    for family in families:
        contests = family.contests
        numbers = [one.setting.figure(row).n for one in contests for row in one.line.rows]
        for block in (gains_block(family), best_block(family)):
            if block is not None:
                yield _table(block, numbers, how)
    for pair in pairs:
        if pair.rows:
            numbers = [len(clean.backbones) for _, clean, _ in pair.rows]
            yield _table(pair_block(pair), numbers, f"{_OF_MEANS}. {HOW_TO_READ_MODES}")
    if published:
        numbers = [len(row.backbones) for setting in settings for row in setting.rows]
        how = f"{_OF_MEANS} of ours. {HOW_TO_READ_PUBLISHED}"
        yield _table(published_block(published), numbers, how)


def _table(block: Block, numbers: Sequence[int], how: str) -> PaperTable:
    unit = "pretraining run"
    return PaperTable(block.title, block.headers, block.rows, block.names, numbers, unit, how)
