"""Which files there are, and which of them a name means."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from robust_det.data.detection.checking.report import Report
from robust_det.data.spellings import SPELLINGS, Spelling, folded

__all__ = ["Listing", "find_files", "parts_of"]


def parts_of(path: str) -> list[str]:
    """Return the parts of a path, whichever system wrote it."""
    return [part for part in path.replace("\\", "/").split("/") if part not in ("", ".")]


class Listing:
    """Answers which files exist, by listing each folder once: a file server takes milliseconds to
    say whether a file is there, and data sets have 100,000."""

    def __init__(self) -> None:
        self._folders: dict[str, frozenset[str]] = {}
        self._spelt: dict[tuple[str, Spelling], dict[str, list[str]]] = {}

    def has(self, path: str) -> bool:
        """Return whether the folder of ``path`` has an entry of that name."""
        folder, name = os.path.split(path)
        return name in self.names(folder)

    def names(self, folder: str) -> frozenset[str]:
        """Return the names in a folder; none if there is no such folder.

        Raises:
            PermissionError: of a folder that may not be read, which would seem to be empty.
        """
        if folder not in self._folders:
            try:
                names = frozenset(os.listdir(folder or "."))
            except PermissionError:
                raise
            except OSError:
                names = frozenset()
            self._folders[folder] = names
        return self._folders[folder]

    def missing(self, paths: Iterable[str]) -> set[str]:
        """Return those that do not exist."""
        return {path for path in paths if not self.has(path)}

    def find(self, folder: str, name: str) -> list[str]:
        r"""Return what a name can mean in a folder, as paths below it.

        That is the entry of that very name if there is one. Otherwise those in the closest of
        :data:`.SPELLINGS`: ``images\a.png`` is ``images/a.png``, ``a.JPG`` is ``a.jpg``. Folders
        that the name begins with and the folder ends with count once.
        """
        if self.has(os.path.join(folder, name)):
            return [name]
        parts = parts_of(name)
        if not parts or os.path.isabs(name):
            return []
        for spelling in SPELLINGS:
            if found := self._fitting(folder, parts, spelling):
                return sorted(found)
        ends = parts_of(os.path.abspath(folder))
        for count in range(1, min(len(parts), len(ends) + 1)):
            if [folded(p) for p in parts[:count]] == [folded(p) for p in ends[-count:]]:
                return self.find(folder, "/".join(parts[count:]))
        return []

    def _fitting(self, folder: str, parts: Sequence[str], spelling: Spelling) -> list[str]:
        # archives of Windows leave files with the separator in their names
        whole = self._as_spelt(folder, spelling).get(spelling("/".join(parts)), [])
        if len(parts) == 1:
            return whole
        first, *rest = parts
        folders = (
            [first] if first == ".." else self._as_spelt(folder, spelling).get(spelling(first), [])
        )
        return whole + [
            f"{below}/{name}"
            for below in folders
            for name in self._fitting(os.path.join(folder, below), rest, spelling)
        ]

    def _as_spelt(self, folder: str, spelling: Spelling) -> dict[str, list[str]]:
        key = (folder, spelling)
        if key not in self._spelt:
            spelt: dict[str, list[str]] = {}
            for name in self.names(folder):
                spelt.setdefault(spelling(name.replace("\\", "/")), []).append(name)
            self._spelt[key] = spelt
        return self._spelt[key]


def find_files(
    listing: Listing, folder: str, names: Iterable[str], report: Report
) -> dict[str, str]:
    """Tell which file of a folder each name means.

    Args:
        listing: of files.
        folder: that the names are relative to.
        names: as they were written, each once.
        report: names that several files fit, and several names that fit one file, are added to it,
            and those that are spelt in another way than their file.

    Returns:
        By name the file, relative to the folder; empty if it is missing. Without those that cannot
        be told.
    """
    files: dict[str, str] = {}
    claims: dict[str, list[str]] = {}
    for name in names:
        if listing.has(os.path.join(folder, name)):
            files[name] = name
            continue
        found = listing.find(folder, name)
        if len(found) > 1:
            report.add("unclear_name", f"{name} can be {' or '.join(found[:3])} in {folder}")
        elif found:
            claims.setdefault(found[0], []).append(name)
        else:
            files[name] = ""
    for file, spelt in claims.items():
        rivals = spelt if file not in files else [file, *spelt]
        if len(rivals) > 1:
            for name in spelt:
                rival = next(one for one in rivals if one != name)
                report.add("unclear_name", f"{name} and {rival} both fit {file} in {folder}")
        else:
            files[spelt[0]] = file
            report.add("other_name", f"{spelt[0]} is {file} in {folder}")
    return files
