"""The backbones that patterns of names and files mean, each content once."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from robust_det.checkpoints.model_file import read_model
from robust_det.core.errors import UserError, did_you_mean_file
from robust_det.core.files import sha256_file
from robust_det.models import ModelCard
from robust_det.zoo.listing import entries
from robust_det.zoo.load import path_of
from robust_det.zoo.locate import PREFIX

__all__ = ["BackboneFile", "find_backbones"]


@dataclass(frozen=True)
class BackboneFile:
    """A backbone.

    Attributes:
        name: of the zoo, or that of its file.
        path, sha256: the file.
        card: what is known of it.
    """

    name: str
    path: Path
    sha256: str
    card: ModelCard


def find_backbones(patterns: Sequence[str]) -> tuple[list[BackboneFile], list[str]]:
    """Return the backbones that are meant, and what to say of them, a sentence each.

    Args:
        patterns: files, names as in ``robust://NAME``, and globs of either, such as
            ``resnet50_l2_eps*``; published models among them are fetched.

    Raises:
        UserError: a pattern means nothing, or a file cannot be read; before anything is computed.
    """
    found: dict[str, BackboneFile] = {}
    paths = dict[str, str]()
    notes = []
    for pattern in patterns:
        for name, path in _meant(pattern):
            real = os.path.realpath(path)
            if real in paths:  # of patterns that overlap
                continue
            if not path.is_file():
                raise UserError(
                    f"no backbone at {path}{did_you_mean_file(path)}; robust-det zoo list shows"
                    " those with names"
                )
            digest = paths[real] = sha256_file(path)
            if digest in found:
                notes.append(f"{path} has the content of {found[digest].path}, and counts once.")
                continue
            found[digest] = BackboneFile(name, path, digest, read_model(path).card)
    return _told_apart(list(found.values())), notes


def _meant(pattern: str) -> Iterator[tuple[str, Path]]:
    """Give the names and files that a pattern means."""
    if os.path.isdir(pattern):
        raise UserError(f"{pattern} is a folder; give the files in it, as '{pattern}/*.pth'")
    name = pattern.removeprefix(PREFIX)
    if os.path.isfile(pattern) or not glob.has_magic(name):
        path = path_of(pattern)
        yield (path.stem if os.path.isfile(pattern) else Path(name).stem), path
        return
    files = [] if pattern.startswith(PREFIX) else sorted(filter(os.path.isfile, glob.glob(pattern)))
    names = [each.name for each in entries() if fnmatchcase(each.name, name)]
    if not files and not names:
        raise UserError(
            f"no file and no backbone's name matches '{pattern}'; robust-det zoo list shows the"
            " names, and a shell needs quotes about a pattern of them"
        )
    for file in files:
        yield Path(file).stem, Path(file)
    for each in names:
        yield each, path_of(f"{PREFIX}{each}")


def _told_apart(files: list[BackboneFile]) -> list[BackboneFile]:
    """Let the names of files that are called alike have what tells them apart."""
    names = [file.name for file in files]
    return [
        file
        if names.count(file.name) == 1
        else BackboneFile(
            f"{file.path.absolute().parent.name}/{file.name} ({file.sha256[:8]})",
            file.path,
            file.sha256,
            file.card,
        )
        for file in files
    ]
