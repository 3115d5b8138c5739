"""Which network the tensors of a file are, told from their names and shapes."""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from typing import Any

from robust_det.checkpoints.reading import LazyTensor, Placeholder
from robust_det.checkpoints.recognising.dictionaries import dictionaries, without_detours
from robust_det.checkpoints.recognising.mismatch import Miss, explain_miss
from robust_det.core.errors import FileError
from robust_det.models import ARCHITECTURES, get_architecture
from robust_det.models.spelling import AUXILIARY, COUNTER, Spelling, distinct_spellings, spelling
from robust_det.models.stages import tensor_stages

__all__ = ["Found", "NoTensorsError", "NothingFoundError", "recognise"]

Tensors = Mapping[str, LazyTensor]
# what a file may make us look at: every network is tried at every place
_MAX_PLACES = 16
# where training scripts keep the averaged weights, which are the ones to use, and where they do not
_AVERAGED, _NEGATIONS = {"ema", "average", "averaged"}, {"no", "non", "not", "without"}
# second copies: the attack's of the robustness library, MoCo's momentum encoders, DINO's student
_SECOND = re.compile(
    r"(^|[./])(attacker|encoder_k|momentum_encoder|student[./](module\.)?backbone)[./]"
)


@dataclass(frozen=True)
class Found:
    """A network in a file.

    Attributes:
        arch: registry name.
        library: whose spelling of the names it is.
        container: path of its dictionary in the file, such as ``state_dict``.
        prefix: of its tensors' names there, such as ``module.``.
        tensors: by torchvision's names; without the head if the file has none, or another one.
        shapes: in torchvision's layout; timm's differ for some.
        beside: all tensors of that dictionary.
        passed_over: places of other copies of the network, which were not chosen.
    """

    arch: str
    library: str
    container: str
    prefix: str
    tensors: Tensors
    shapes: Mapping[str, tuple[int, ...]]
    beside: Tensors
    passed_over: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """The container and the prefix, as ``--prefix`` takes them."""
        return f"{self.container}/{self.prefix}" if self.container else self.prefix

    @property
    def is_averaged(self) -> bool:
        """Whether the place says that the weights are averaged ones."""
        words = ["", *re.split(r"[^a-z]+", self.place.lower())]
        return any(
            word in _AVERAGED and before not in _NEGATIONS for before, word in pairwise(words)
        )

    @property
    def has_head(self) -> bool:
        """Whether it comes with a classification head."""
        return f"{get_architecture(self.arch).head}.weight" in self.tensors

    @property
    def is_moco(self) -> bool:
        """Whether it is one of MoCo's two encoders."""
        return self.prefix.endswith(("encoder_q.", "encoder_k."))

    @property
    def classifies(self) -> bool:
        """Whether the head is one of classes; MoCo's is a projection."""
        return self.has_head and not self.is_moco

    @property
    def identity(self) -> tuple[Any, ...]:
        """Equal for two names of the same tensors."""
        return (self.arch, *(tensor.identity for tensor in self.tensors.values()))


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
    archs = [get_architecture(arch).name] if arch else list(ARCHITECTURES)
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
            raise FileError(f"has no network at --prefix '{prefix}', but at {_quoted(places)}")
    if not found:
        unread = {k: v for _, named in dictionaries(value, Placeholder) for k, v in named.items()}
        why = explain_miss(nearest, [tensors for _, tensors in groups], unread, arch, prefix)
        raise NothingFoundError(*why)
    return _the_one([f for f in found if f.arch == said] or found)


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
        shapes = spelling(arch, "torchvision").shapes
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


def _the_one(found: list[Found]) -> Found:
    """Choose among what fits: one copy of each, averaged weights first, second copies last."""
    # where two spellings differ in the head alone, the one that has a head is meant
    whole: dict[tuple[str, str], Found] = {}
    for f in found:
        other = whole.setdefault((f.arch, f.place), f)
        if len(f.tensors) > len(other.tensors):
            whole[f.arch, f.place] = f
    unique = list({f.identity: f for f in reversed(whole.values())}.values())[::-1]
    # copies are of one architecture: another one is another network
    archs = sorted({f.arch for f in unique})
    if len(archs) > 1:
        raise FileError(f"could be {' or '.join(archs)}", f"say which with --arch {archs[0]}")

    def rank(f: Found) -> int:
        if _SECOND.search(f.place):
            return 2
        return 0 if f.is_averaged else 1

    best = min(map(rank, unique))
    best_ones = [f for f in unique if rank(f) == best]
    if len(best_ones) > 1:
        raise FileError(
            f"holds {len(best_ones)} different networks {archs[0]}, at"
            f" {_quoted(f.place for f in best_ones)}",
            f"choose with --prefix '{best_ones[0].place}'",
        )
    others = tuple(f.place for f in unique if f is not best_ones[0])
    return replace(best_ones[0], passed_over=others)


def _quoted(places: Iterable[str]) -> str:
    return ", ".join(f"'{place}'" for place in islice(places, 5))
