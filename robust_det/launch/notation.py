"""A sweep as text: one line is the arguments of ``robust-det train``, with braces as in a shell.

``--config tiny_r18_eps{0,0.25}_bccd.yaml SOLVER.BASE_LR {0.01,0.02} SEED {0..2}`` stands for twelve
runs. A line that begins with the word ``transfer`` is the arguments of ``robust-det transfer``. A
glob after ``--backbone`` stands for the files that it matches. Words in quotes are taken as they
are; ``#`` begins a comment.
"""

from __future__ import annotations

import argparse
import glob
import hashlib
import itertools
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from robust_det.core.errors import UserError

__all__ = ["JOBS", "TRAIN", "TRANSFER", "Entry", "parse_sweep"]

TRAIN, TRANSFER = "train", "transfer"
JOBS = (TRAIN, TRANSFER)

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(-?\d+)\.\.(-?\d+)")
_GLOB = re.compile(r"[*?\[]")
_QUOTES = "'\""
_LONGEST_NAME = 120
_NO_CONFIG = "base_transfer.yaml"  # has the defaults, which --data alone means
_MOST_RUNS = 10_000


@dataclass(frozen=True)
class Entry:
    """One run of a sweep.

    Attributes:
        config: config file, or its name.
        backbone: of ``--backbone``; None leaves the config's.
        overrides: ``(key, value)`` pairs.
        job: the command, one of :data:`JOBS`.
    """

    config: str
    backbone: str | None = None
    overrides: tuple[tuple[str, str], ...] = ()
    job: str = TRAIN

    @property
    def name(self) -> str:
        """A folder's name that depends on this entry alone, so that a sweep can grow."""
        return self._named(self.overrides)

    @property
    def group(self) -> str:
        """The name without the seed: the runs of one mean."""
        return self._named(tuple(pair for pair in self.overrides if pair[0] != "SEED"))

    def _backbone_name(self, path: Path) -> str:
        # pretraining leaves a final.pth in the folder of each run
        file = path.parent if self.job == TRANSFER and path.name == "final.pth" else path
        return file.name.removesuffix(".pth")

    def _named(self, overrides: tuple[tuple[str, str], ...]) -> str:
        words = [Path(self.config).stem]
        if self.backbone:
            words.append(self._backbone_name(Path(self.backbone)))
        words += [f"{key.rpartition('.')[2].lower()}{value}" for key, value in overrides]
        name = re.sub(r"[^\w.+-]+", "-", "_".join(words))
        if len(name) > _LONGEST_NAME:
            digest = hashlib.sha256(name.encode()).hexdigest()[:8]
            name = f"{name[: _LONGEST_NAME - 9]}_{digest}"
        return name


def parse_sweep(lines: Iterable[str], source: str) -> list[Entry]:
    """Return the runs of a sweep's lines, in their order.

    Args:
        lines: of the text.
        source: names it in errors.

    Raises:
        UserError: a line cannot be read, two runs are the same, or there are none.
    """
    entries: dict[str, Entry] = {}
    for number, line in enumerate(lines, start=1):
        where = f"{source}, line {number}"
        for words in _expand(line, where):
            entry = _entry(words, where)
            if entry.name in entries:
                raise UserError(f"{where}: the run {entry.name} is in the sweep already")
            entries[entry.name] = entry
    if not entries:
        raise UserError(f"{source} lists no runs; write --config NAME.yaml KEY VALUE, one a line")
    return list(entries.values())


def _expand(line: str, where: str) -> list[tuple[str, ...]]:
    """Return the words of each run that a line stands for."""
    splitter = shlex.shlex(line, posix=False, punctuation_chars="")
    splitter.whitespace_split = True
    try:
        words = list(splitter)
    except ValueError as error:
        raise UserError(f"{where}: {str(error).lower()}; close it") from error
    choices = [_choices(word, where) for word in words]
    for i, word in enumerate(words[1:], start=1):
        if words[i - 1] == "--backbone" and word[0] not in _QUOTES:
            choices[i] = [file for choice in choices[i] for file in _files(choice, where)]
    count = 1
    for choice in choices:
        count *= len(choice)
    if count > _MOST_RUNS:
        raise UserError(f"{where} stands for {count} runs; at most {_MOST_RUNS} are taken")
    return list(itertools.product(*choices)) if words else []


def _choices(word: str, where: str) -> list[str]:
    if word[0] in _QUOTES and word[-1] == word[0]:
        return [word[1:-1]]
    parts = _BRACES.split(word)  # text, what is in braces, text, ...
    if any(mark in text for text in parts[::2] for mark in "{}"):
        raise UserError(f"{where}: the braces of '{word}' do not match; quote the word to keep it")
    options = [_options(part, where) if i % 2 else [part] for i, part in enumerate(parts)]
    return ["".join(chosen) for chosen in itertools.product(*options)]


def _files(choice: str, where: str) -> list[str]:
    """Return the files that a glob matches, in their order; what is no glob stands for itself."""
    if not _GLOB.search(choice):
        return [choice]
    files = sorted(path for path in glob.glob(choice, recursive=True) if Path(path).is_file())
    if not files:
        raise UserError(f"{where}: no file matches --backbone {choice}; quote a name as it is")
    return files


def _options(text: str, where: str) -> list[str]:
    if found := _RANGE.fullmatch(text):
        first, last = map(int, found.groups())
        if abs(last - first) >= _MOST_RUNS:
            raise UserError(f"{where}: {{{text}}} is too long; at most {_MOST_RUNS} runs are taken")
        step = 1 if first <= last else -1
        return [str(value) for value in range(first, last + step, step)]
    options = text.split(",")
    if len(options) < 2 or not all(options):
        raise UserError(f"{where}: write {{a,b}} or {{1..3}}, not {{{text}}}")
    return options


def _entry(words: tuple[str, ...], where: str) -> Entry:
    job = words[0] if words[0] in JOBS else TRAIN
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config", required=job == TRAIN)
    parser.add_argument("--backbone")
    if job == TRANSFER:
        parser.add_argument("--mode")
        parser.add_argument("--data")
    parser.add_argument("overrides", nargs="*")

    def refuse(message: str) -> NoReturn:
        raise UserError(f"{where}: {message}; write --config NAME.yaml KEY VALUE")

    parser.error = refuse  # type: ignore[method-assign]
    args = parser.parse_intermixed_args(words[1:] if words[0] in JOBS else words)
    if len(args.overrides) % 2:
        raise UserError(f"{where}: '{args.overrides[-1]}' has no value; write KEY VALUE")
    pairs = tuple(zip(args.overrides[::2], args.overrides[1::2], strict=True))
    if any(key == "OUTPUT_DIR" for key, _ in pairs):
        raise UserError(f"{where}: leave OUTPUT_DIR out; each run gets a folder of its own")
    config = args.config
    if job == TRANSFER:
        if not config and not args.data:
            refuse("nothing says which images")
        config = config or _NO_CONFIG
        for option, key in (("data", "DATA.ROOT"), ("mode", "TRANSFER.MODE")):
            if value := getattr(args, option):
                if any(name == key for name, _ in pairs):
                    raise UserError(f"{where}: --{option} and {key} say the same; give one")
                pairs = ((key, value), *pairs)
    return Entry(config, args.backbone, pairs, job)
