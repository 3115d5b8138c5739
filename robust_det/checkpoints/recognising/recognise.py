"""Which network the tensors of a file are, told from their names and shapes."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from robust_det.checkpoints.reading import LazyTensor, Placeholder
from robust_det.checkpoints.recognising.choice import Found, choose, quoted
from robust_det.checkpoints.recognising.dictionaries import dictionaries, without_detours
from robust_det.checkpoints.recognising.mismatch import Miss, explain_miss
from robust_det.core.errors import FileError, UserError
from robust_det.models import ARCHITECTURES, get_architecture
from robust_det.models.spelling import AUXILIARY, COUNTER, Spelling, distinct_spellings, spelling
from robust_det.models.stages import tensor_shapes, tensor_stages

__all__ = ["NoTensorsError", "NothingFoundError", "recognise"]

Tensors = Mapping[str, LazyTensor]
# what a file may make us look at: every network is tried at every place
_MAX_PLACES = 16


class NothingFoundError(FileError):
    """No network that is known."""


class NoTensorsError(NothingFoundError):
    """Not even tensors that have names."""


def recognise(
    value: Any,
    arch: str | None = None,
    prefix: str | None = None,
    said: str | None = None,
) -> Found:
    """Find the one network in a file's content.

    Args:
        value: as :func:`robust_det.checkpoints.reading.read_file` returns it.
        arch: look for this architecture alone.
        prefix: look at tensors of this place alone, where a file holds several networks.
        said: the architecture that the file says it is, which decides between several that fit.

    Raises:
        NothingFoundError: none; says what was found and what to do.
        FileError: several; says which, and how to choose.
    """
    archs = [get_architecture(arch).name] if arch else _candidates(said)
    groups = list(dictionaries(value, LazyTensor))
    if not groups:
        raise NoTensorsError("holds no tensors by name", "save a network's state_dict()")
    if prefix is not None:
        prefix = without_detours(prefix)
    found, nearest = _search(groups, archs, prefix)
    if not found and arch:
        _refuse_other(value, arch, prefix)
    if not found and prefix is not None:
        elsewhere, _ = _search(groups, archs, None)
        places = dict.fromkeys(f.place for f in elsewhere)
        if len(places) == 1:
            raise FileError("holds one network alone", "leave --prefix out")
        if places:
            raise FileError(f"has no network at --prefix '{prefix}', but at {quoted(places)}")
    if not found:
        unread = {k: v for _, named in dictionaries(value, Placeholder) for k, v in named.items()}
        why = explain_miss(nearest, [tensors for _, tensors in groups], unread, arch, prefix)
        raise NothingFoundError(*why)
    return choose([f for f in found if f.arch == said] or found, value)


def _candidates(said: str | None) -> list[str]:
    """Return the registered architectures, and that of another library which a file says it is.

    Raises:
        FileError: that one is not known here.
    """
    if not isinstance(said, str) or ":" not in said:
        return list(ARCHITECTURES)
    try:
        return [*ARCHITECTURES, get_architecture(said).name]
    except UserError as error:
        raise FileError(f"says that it is a {said}: {error.problem}", error.advice) from error


def _refuse_other(value: Any, arch: str, prefix: str | None) -> None:
    """Say which architecture the tensors are of, if they are of another one."""
    try:
        other = recognise(value, None, prefix)
    except FileError:
        return
    raise FileError(f"holds a {other.arch}, not a {arch}", "leave --arch out")


def _search(
    groups: list[tuple[str, Tensors]], archs: list[str], prefix: str | None
) -> tuple[list[Found], Miss | None]:
    """Return the networks among the tensors, and what came nearest to one."""
    found: list[Found] = []
    nearest: Miss | None = None
    for container, tensors in groups:
        for name in archs:
            for spelled in distinct_spellings(name):
                for result in _matches(container, tensors, name, spelled.library, prefix):
                    if isinstance(result, Found):
                        found.append(result)
                    elif nearest is None or result.rank > nearest.rank:
                        nearest = result
    return found, nearest


@dataclass(frozen=True)
class _Sought:
    """What a network's tensors are called in one spelling."""

    spelled: Spelling
    body: tuple[str, ...]  # torchvision's names of those that a file must have
    anchors: tuple[str, ...]  # the first of each stage: one that lacks some is to be told so
    known: frozenset[str]
    parts: frozenset[str]  # first parts of the names


@functools.cache
def _sought(arch: str, library: str) -> _Sought:
    spelled, architecture = spelling(arch, library), get_architecture(arch)
    names, stages = spelled.names, tensor_stages(arch)
    body = [n for n in names if not architecture.in_head(n) and COUNTER not in n]
    firsts = {stages[n]: n for n in reversed(body)}.values()
    # torchvision's own parts are not beside a residual network under other names, but in it
    inside = [*(names[n] for n in body), *(body if architecture.layout else ())]
    return _Sought(
        spelled,
        tuple(body),
        tuple(names[n] for n in firsts),
        frozenset(names.values()),
        frozenset(n.partition(".")[0] for n in inside),
    )


def _matches(
    container: str, tensors: Tensors, arch: str, library: str, place: str | None
) -> Iterator[Found | Miss]:
    """Compare the tensors below every prefix that could be the network's."""
    architecture, sought = get_architecture(arch), _sought(arch, library)
    spelled, body = sought.spelled, sought.body
    for prefix in _prefixes(container, tensors, sought.anchors, place):
        below = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
        missing = tuple(n for n in body if spelled.names[n] not in below)
        misshapen = tuple(
            (n, below[spelled.names[n]].shape, spelled.shapes[n])
            for n in body
            if spelled.names[n] in below and below[spelled.names[n]].shape != spelled.shapes[n]
        )
        # something else may stand beside a network, but not in the midst of it
        foreign = tuple(
            n
            for n in below
            if n not in sought.known
            and n.partition(".")[0] in sought.parts
            and not AUXILIARY.search(n)
        )
        if missing or misshapen or foreign:
            fits = len(body) - len(missing) - len(misshapen)
            yield Miss(arch, fits, missing, misshapen, foreign, len(body))
            continue
        present = _with_plain_head(below, spelled.names[f"{architecture.head}.weight"])
        names = [n for n, s in spelled.names.items() if s in present]
        if not _head_fits(arch, spelled, present):
            names = [n for n in names if not architecture.in_head(n)]
        own = {n: present[spelled.names[n]] for n in names}
        shapes = tensor_shapes(arch)
        yield Found(arch, library, container, prefix, own, {n: shapes[n] for n in own}, tensors)


def _prefixes(
    container: str, tensors: Tensors, anchors: tuple[str, ...], place: str | None
) -> list[str]:
    """Return what stands before anchors, the most complete first.

    Not all of them: a file of a hundred thousand beginnings of networks would take hours.
    """
    found = Counter(
        name.removesuffix(anchor)
        for anchor in anchors
        for name in tensors
        if name == anchor or name.endswith(f".{anchor}")
    )
    if place is not None:
        found = Counter(
            {p: n for p, n in found.items() if f"{container}/{p}".strip("/.") == place.strip("/.")}
        )
    return [prefix for prefix, _ in found.most_common(_MAX_PLACES)]


def _with_plain_head(below: Tensors, weight: str) -> Tensors:
    """Let the one layer with weights of a sequence, such as dropout and linear, be the head."""
    head = weight.removesuffix("weight")
    inside = [name for name in below if name.startswith(head)]
    layers = {name.removeprefix(head).rpartition(".")[0] for name in inside}
    if len(layers) != 1 or not (layer := layers.pop()).isdecimal():
        return below
    return {**below, **{head + n.removeprefix(f"{head}{layer}."): below[n] for n in inside}}


def _head_fits(arch: str, spelled: Spelling, below: Tensors) -> bool:
    """Whether the head is there and differs in nothing but the number of classes."""
    architecture = get_architecture(arch)
    widths = set()
    for name, shape in spelled.shapes.items():
        if not architecture.in_head(name):
            continue
        tensor = below.get(spelled.names[name])
        if tensor is None or len(tensor.shape) != len(shape):
            return False
        if name.startswith(architecture.head + "."):
            widths.add(tensor.shape[0])
        elif tensor.shape[0] != shape[0]:
            return False
        if tensor.shape[1:] != shape[1:]:
            return False
    return len(widths) == 1 and 0 not in widths
