"""The backbones that patterns of names and files mean, the weights of each once."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from robust_det.checkpoints.model import Model
from robust_det.checkpoints.model_file import read_model
from robust_det.core.errors import UserError, did_you_mean_file
from robust_det.core.files import sha256_file
from robust_det.models import ModelCard, get_architecture
from robust_det.models.spelling import COUNTER
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
        source_sha256: of the file that it was converted from, if it was.
    """

    name: str
    path: Path
    sha256: str
    card: ModelCard
    source_sha256: str = ""

    @property
    def origin(self) -> str:
        """The hash that a file and its conversion share, in records as well."""
        return self.source_sha256 or self.sha256


def find_backbones(patterns: Sequence[str]) -> tuple[list[BackboneFile], list[str]]:
    """Return the backbones that are meant, and what to say of them, a sentence each.

    Args:
        patterns: files, names as in ``robust://NAME``, and globs of either, such as
            ``resnet50_l2_eps*``; published models among them are fetched.

    Raises:
        UserError: a pattern means nothing, or a file cannot be read; before anything is computed.
    """
    found: dict[str, BackboneFile] = {}  # by what its weights are
    paths = set[str]()
    notes = []
    for pattern in patterns:
        for name, path in _meant(pattern):
            real = os.path.realpath(path)
            if real in paths:
                if os.path.isfile(pattern):  # no pattern, which may overlap with others
                    notes.append(f"{path} is given again, and counts once.")
                continue
            if not path.is_file():
                raise UserError(
                    f"no backbone at {path}{did_you_mean_file(path)}; robust-det zoo list shows"
                    " those with names"
                )
            paths.add(real)
            model = read_model(path)
            digest = _digest(model)
            if digest in found:
                notes.append(f"{path} has the weights of {found[digest].path}, and counts once.")
                continue
            sha256 = sha256_file(path)
            found[digest] = BackboneFile(name, path, sha256, model.card, model.source_sha256)
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


def _digest(model: Model) -> str:
    """Return a hash of what features depend on, which a file and its conversion share."""
    architecture = get_architecture(model.arch)
    digest = hashlib.sha256(repr((model.arch, model.mean, model.std)).encode())
    for name, tensor in sorted(model.state.items()):
        if COUNTER not in name and not architecture.in_head(name):
            digest.update(name.encode() + tensor.numpy().tobytes())
    return digest.hexdigest()


def _told_apart(files: list[BackboneFile]) -> list[BackboneFile]:
    """Let the names of files that are called alike have what tells them apart."""
    names = [file.name for file in files]
    return [
        file
        if names.count(file.name) == 1
        else replace(
            file, name=f"{file.path.absolute().parent.name}/{file.name} ({file.sha256[:8]})"
        )
        for file in files
    ]
