"""A copy of a set, listed and looked at: what its splits are made from and judged by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from robust_det.data.transfer.catalogue import Facts, facts_of
from robust_det.data.transfer.contents import Look, look_at
from robust_det.data.transfer.listed import Item, Listed
from robust_det.data.transfer.sets.reading import read_set

__all__ = ["Survey", "survey"]


@dataclass(frozen=True)
class Survey:
    """A copy of a set.

    Attributes:
        name, facts: the set, and what is known of it.
        listed: what it lists.
        looks: what is in each file, by path.
    """

    name: str
    facts: Facts
    listed: Listed
    looks: Mapping[str, Look]

    def there(self, split: str) -> Sequence[Item]:
        """Return the images of a split whose files are there."""
        return [item for item in self.listed.splits[split] if not self.looks[item[0]].missing]

    @property
    def missing(self) -> dict[str, list[str]]:
        """Return the files that are listed and not there, by split; no split without such."""
        lost = {
            split: [path for path, _ in items if self.looks[path].missing]
            for split, items in self.listed.splits.items()
        }
        return {split: paths for split, paths in lost.items() if paths}


def survey(name: str, root: str | Path, decode: bool = False) -> Survey:
    """List a set, and read each of its files once.

    Args:
        name: of the catalogue.
        root: its folder.
        decode: decode the images as well, which finds those that end early.

    Raises:
        UserError: see :func:`.sets.reading.read_set`.
    """
    listed = read_set(name, root)
    paths = (path for items in listed.splits.values() for path, _ in items)
    return Survey(name, facts_of(name), listed, look_at(listed.base, paths, decode, listed.md5s))
