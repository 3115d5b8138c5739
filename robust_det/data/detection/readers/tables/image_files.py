"""Which image of a folder a name in a table means."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cached_property

from robust_det.data.detection.checking.images import SUFFIXES
from robust_det.data.detection.checking.listing import parts_of
from robust_det.data.detection.checking.report import Report
from robust_det.data.detection.checking.stems import Stems
from robust_det.data.walking import files_below

__all__ = ["ImageFiles"]


class ImageFiles:
    """The images below a folder.

    Attributes:
        root: the folder.
        names: of the images, relative to it.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self.names = set(files_below(root, SUFFIXES))

    @cached_property
    def _stems(self) -> Stems:
        return Stems(self.names)

    def find(self, written: Iterable[str], report: Report) -> dict[str, str]:
        """Return the file of each name, relative to the folder; that of a missing one as written.

        Args:
            written: names with or without folders, also of another machine, and suffix.
            report: names that several files fit are added to it, and are left out; and those that
                are spelt in another way than their file.
        """
        files = {}
        for name in written:
            plain = os.path.normpath("/".join(parts_of(name))) if not os.path.isabs(name) else name
            if plain in self.names:
                files[name] = plain
                continue
            found = self._stems.find(name)
            suffix = os.path.splitext(name)[1].lower()
            if suffix in SUFFIXES:
                same = [file for file in found if os.path.splitext(file)[1].lower() == suffix]
                found = same or found
            if len(found) > 1:
                report.add("unclear_name", f"{name} can be {' or '.join(found[:3])} in {self.root}")
                continue
            files[name] = found[0] if found else name
            if found and suffix in SUFFIXES and parts_of(found[0])[-1] != parts_of(name)[-1]:
                report.add("other_name", f"{name} is {found[0]} in {self.root}")
        return files
