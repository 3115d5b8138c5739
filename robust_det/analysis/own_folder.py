"""A folder of files that are ours: renewed as a whole, and never mixed with what others wrote."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from robust_det.core.errors import UserError
from robust_det.core.files import write_atomically
from robust_det.core.locks import NAME

__all__ = ["OwnFolder"]


@dataclass(frozen=True)
class OwnFolder:
    """A folder that one kind of output goes into.

    Attributes:
        path: of the folder.
        marker: name of the file in it that says that it is ours, and which files in it are.
        what: is written into it, such as ``comparison``.
    """

    path: Path
    marker: str
    what: str

    def files(self) -> set[str]:
        """Return the files that were written earlier.

        Raises:
            UserError: it is a folder of anything else.
        """
        advice = f"choose another folder for the {self.what}"
        try:
            if not self.path.exists():
                return set()
            if not self.path.is_dir():
                raise UserError(f"{self.path} is a file; {advice}")
            if all(path.name == NAME for path in self.path.iterdir()):
                return set()
        except OSError as error:
            raise UserError(f"cannot read {self.path}: {error.strerror}; {advice}") from error
        marker = self.path / self.marker
        if not marker.is_file():
            article = "an" if self.what[0] in "aeiou" else "a"
            raise UserError(
                f"{self.path} holds something other than {article} {self.what}; {advice}"
            )
        try:
            listed = json.loads(marker.read_text())["files"]
            names = {str(PurePosixPath(name)) for name in listed}
        except (OSError, ValueError, KeyError, TypeError):
            raise UserError(f"{marker} cannot be read; {advice}") from None
        # what is listed gets deleted when it is no longer needed: nothing outside the folder may be
        return {n for n in names if not PurePosixPath(n).is_absolute() and ".." not in n.split("/")}

    def write(self, files: Mapping[str, bytes | Path], before: set[str]) -> None:
        """Write all files, and remove those that were written earlier.

        Args:
            files: by name: contents, or a file to copy; the one to be opened comes last.
            before: see :meth:`files`.
        """
        # the list comes first, so that a killed run leaves a folder that the next one recognises
        self._mark(before | set(files))
        for name, content in files.items():
            self._put(name, content if isinstance(content, bytes) else content.read_bytes())
        for name in before - set(files):
            (self.path / name).unlink(missing_ok=True)
        self._mark(set(files))

    def _mark(self, names: set[str]) -> None:
        text = json.dumps({"files": sorted(names)}, indent=1) + "\n"
        write_atomically(self.path / self.marker, lambda file: file.write(text.encode()))

    def _put(self, name: str, data: bytes) -> None:
        # all of it is made again from records, which are what must not be lost
        write_atomically(self.path / name, lambda file: file.write(data), durable=False)
