"""The split manifest: which image is where, of which class, with which content.

Training reads it, and a record cites its digest. As a file it is a table with two lines before it::

    # robust-det transfer manifest 1
    # {"set": "dtd", "classes": [...], "digest": "...", "notes": [...]}
    split,path,label,sha256
    train,images/banded/banded_0005.jpg,banded,0a1b...
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from robust_det.core.errors import FileError, naming
from robust_det.core.files import require_regular, write_atomically
from robust_det.data.transfer.catalogue import SPLITS
from robust_det.data.transfer.listed import check_path

__all__ = ["LEFT_OUT", "Entry", "Manifest", "is_manifest", "read_manifest", "write_manifest"]

LEFT_OUT = "left out"
_FORMAT = "robust-det transfer manifest"
_VERSION = 1
_COLUMNS = ["split", "path", "label", "sha256"]
_DIGEST = re.compile("[0-9a-f]{64}")
_ADVICE = "write it again with robust-det transfer-data check --manifest"


@dataclass(frozen=True)
class Entry:
    """An image: its path below the set's base, its class, and the SHA-256 of its content."""

    path: str
    label: str
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """The splits of a set; no content is in two of them.

    Attributes:
        name: of the set, in the catalogue.
        classes: in the order of labels.
        train, val, test: the images; ``val`` is empty where there is no official one.
        left_out: images of training and validation that are in a later split as well.
        notes: what was decided or may be a mistake, one sentence each.

    Raises:
        FileError: an image of no class, or a content that is in two splits.
    """

    name: str
    classes: tuple[str, ...]
    train: tuple[Entry, ...]
    val: tuple[Entry, ...]
    test: tuple[Entry, ...]
    left_out: tuple[Entry, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        known, seen = set(self.classes), dict[str, tuple[str, str]]()
        for split, entry in self._rows():
            if entry.label not in known:
                raise FileError(f"has {entry.path} of the class {entry.label}, which is none", "")
            if split == LEFT_OUT:
                continue
            other, path = seen.setdefault(entry.sha256, (split, entry.path))
            if other != split:
                raise FileError(
                    f"has one content in two splits: {path} in {other}, {entry.path} in {split}",
                    _ADVICE,
                )

    @property
    def training(self) -> tuple[Entry, ...]:
        """All that may be trained on once nothing is left to choose: train and val."""
        return self.train + self.val

    @property
    def sizes(self) -> dict[str, int]:
        """The number of images by split."""
        return {split: len(self.entries(split)) for split in SPLITS}

    @property
    def digest(self) -> str:
        """SHA-256 of the set's name, its classes, and every image's split, path, label and content;
        where the set lies, and the notes, do not matter."""
        digest = hashlib.sha256(json.dumps([self.name, self.classes]).encode())
        for split, entry in sorted(self._rows(), key=lambda row: (row[0], row[1].path)):
            row = json.dumps([split, entry.path, entry.label, entry.sha256])
            digest.update(row.encode())
        return digest.hexdigest()

    def entries(self, split: str) -> tuple[Entry, ...]:
        """Return a split: ``train``, ``val``, ``test`` or ``training``."""
        found: tuple[Entry, ...] = getattr(self, split)
        return found

    def _rows(self) -> Iterator[tuple[str, Entry]]:
        for split in SPLITS:
            yield from ((split, entry) for entry in self.entries(split))
        yield from ((LEFT_OUT, entry) for entry in self.left_out)


def write_manifest(manifest: Manifest, path: str | Path) -> None:
    """Write it as a file.

    Raises:
        UserError: the file system refuses.
    """
    head = {
        "set": manifest.name,
        "classes": manifest.classes,
        "digest": manifest.digest,
        "notes": manifest.notes,
    }
    text = io.StringIO()
    text.write(f"# {_FORMAT} {_VERSION}\n# {json.dumps(head)}\n")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(
        [split, entry.path, entry.label, entry.sha256] for split, entry in manifest._rows()
    )
    content = text.getvalue().encode(errors="surrogateescape")
    write_atomically(path, lambda file: file.write(content))


def is_manifest(path: str | Path) -> bool:
    """Return whether a file begins as a manifest does, whatever became of the rest."""
    start = f"# {_FORMAT} ".encode()
    if not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        return file.read(len(start)) == start


def read_manifest(path: str | Path) -> Manifest:
    """Read what :func:`write_manifest` wrote.

    Raises:
        FileError: it is no manifest, of a later version, or was changed.
        OSError: it is not there.
    """
    path = Path(path).expanduser()
    require_regular(path)
    with naming(path):
        text = path.read_bytes().decode(errors="surrogateescape")
        first, second, rest = (*text.split("\n", 2), "", "")[:3]
        version = first.strip().removeprefix(f"# {_FORMAT} ")
        if version == first.strip():
            raise FileError("is no manifest of a transfer set", _ADVICE)
        if version != str(_VERSION):
            raise FileError(f"is a manifest of version {version}, and {_VERSION} is known", _ADVICE)
        try:
            head = json.loads(second.removeprefix("#"))
            manifest = _manifest(head, list(csv.reader(io.StringIO(rest, newline=""))))
        except (ValueError, KeyError, TypeError, csv.Error) as error:
            raise FileError("is damaged", _ADVICE) from error
        if manifest.digest != head["digest"]:
            raise FileError("was changed: its digest is another one", _ADVICE)
    return manifest


def _manifest(head: Mapping[str, Any], rows: Sequence[Sequence[str]]) -> Manifest:
    splits: dict[str, list[Entry]] = {split: [] for split in (*SPLITS, LEFT_OUT)}
    if [*rows[:1]] != [_COLUMNS]:
        raise ValueError(rows[:1])
    for row in filter(None, rows[1:]):
        split, path, label, sha256 = row
        if not _DIGEST.fullmatch(sha256):
            raise ValueError(sha256)
        splits[split].append(Entry(check_path(path), label, sha256))
    train, val, test, left_out = (tuple(entries) for entries in splits.values())
    return Manifest(
        head["set"], tuple(head["classes"]), train, val, test, left_out, tuple(head["notes"])
    )
