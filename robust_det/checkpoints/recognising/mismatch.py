"""Why a file's tensors are no network that is known, in words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from robust_det.checkpoints.reading import LazyTensor, Placeholder
from robust_det.checkpoints.recognising.causes import cause_of_names, listed
from robust_det.checkpoints.recognising.shapes import registered_with, residual
from robust_det.models import ARCHITECTURES
from robust_det.models.spelling import COUNTER
from robust_det.models.stages import tensor_stages
from robust_det.models.timm_networks import PREFIX

__all__ = ["Miss", "explain_miss"]

_ADVICE = f"say --arch {PREFIX}:NAME if it is one of timm's, or register it (CONTRIBUTING.md)"

# of a network's tensors, so that it is worth naming
_SOME = 0.2
# torchvision's names, and Detectron2's
_FIRST_BLOCK = re.compile(r"(.*\.|)(layer1|res2)\.0\.conv1\.weight")
_BODY = re.compile(r"(conv1|bn1|layer[1-4]|stem|res[2-5])\.")


@dataclass(frozen=True)
class Miss:
    """A network that the tensors at a place are not, though some of them fit.

    Attributes:
        arch: which network.
        fits: tensors that fit, of ``whole``.
        missing: names of those that are not there.
        misshapen: name, shape in the file and shape it should have.
        foreign: names of those that the network does not have.
        whole: number of tensors that a file must have.
    """

    arch: str
    fits: int
    missing: tuple[str, ...]
    misshapen: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...]
    foreign: tuple[str, ...]
    whole: int

    @property
    def rank(self) -> tuple[float, float]:
        """How near the network is; the nearest has the highest."""
        size = self.whole + len(self.foreign)
        return (self.fits / size, -len(self.missing) / size)


def explain_miss(
    nearest: Miss | None,
    groups: list[Mapping[str, LazyTensor]],
    unread: Mapping[str, Placeholder],
    arch: str | None,
    prefix: str | None,
) -> tuple[str, str]:
    """Say what a file holds and what the nearest architecture would need, and what to do.

    Args:
        nearest: the network that its tensors come nearest to.
        groups: the tensors of each of its dictionaries.
        unread: what else it has by name and was not rebuilt.
        arch, prefix: what was looked for, if the user said.
    """
    tensors = max(groups, key=len)
    some = ", ".join(f"{n} {_shape(t.shape)}" for n, t in list(tensors.items())[:3])
    if prefix is not None and nearest is None:
        return f"has no network at --prefix '{prefix}'; its tensors are {some}, ...", ""
    if cause := cause_of_names(tensors, unread, arch):
        return cause
    wanted = f"a {arch}" if arch else "a registered architecture"
    if likeness := _by_shapes(nearest, tensors, arch):
        return likeness
    if nearest is None or nearest.rank[0] < _SOME:
        known = f"one of {', '.join(ARCHITECTURES)}, say --arch {PREFIX}:NAME if it is timm's, or"
        return (
            f"holds tensors that are not those of {wanted}: {some}, ...",
            f"give {wanted}" if arch else f"give {known} register this one (CONTRIBUTING.md)",
        )
    return _difference(nearest, wanted)


def _by_shapes(
    nearest: Miss | None, tensors: Mapping[str, LazyTensor], arch: str | None
) -> tuple[str, str] | None:
    """Say which network the tensors are whatever their names, if all of them are one."""
    networks = [residual(shapes) for shapes in _bodies(tensors)]
    network = next((n for n in networks if n is not None), None)
    if network is not None and not network.arch and not (network.stem and nearest):
        whose = f"not a {arch}" if arch else "which is not registered"
        return f"is a {network}, {whose}", _ADVICE
    # what has all names is something else beside
    if nearest is not None and not nearest.missing:
        return None
    what, same = "shapes", registered_with([tensor.shape for tensor in tensors.values()])
    nothing = nearest is None or nearest.rank[0] < _SOME
    if not same and nothing and networks[0] is not None:
        what, same = "convolutions", networks[0].arch
    if not same:
        return None
    if arch not in (None, same):
        return f"has the {what} of a {same}, not those of a {arch}", "leave --arch out"
    names = f"none that are known ({next(iter(tensors))}, ...)"
    if nearest is not None and nearest.arch == same and nearest.fits > nearest.whole / 2:
        names = f"no {listed(nearest.missing)}"
    return (
        f"has the {what} of a {same}, but its names are others: {names}",
        "rename its tensors as torchvision does",
    )


def _bodies(tensors: Mapping[str, LazyTensor]) -> Iterator[list[tuple[int, ...]]]:
    """Yield the shapes of all tensors, then of those that are a residual network's by name."""
    yield [tensor.shape for tensor in tensors.values()]
    starts = (_FIRST_BLOCK.fullmatch(name) for name in tensors)
    for start in islice(filter(None, starts), 4):
        length = len(start[1])
        parts = ((n, t) for n, t in tensors.items() if n.startswith(start[1]))
        yield [t.shape for n, t in parts if _BODY.match(n[length:])]


def _difference(miss: Miss, wanted: str) -> tuple[str, str]:
    channels = [(got, want) for _, got, want in miss.misshapen if len(got) == 4]
    if channels and not miss.missing and not miss.foreign and len(miss.misshapen) == 1:
        got, want = channels[0]
        if got[1] != want[1] and got[:1] + got[2:] == want[:1] + want[2:] and want[1] == 3:
            return (
                f"is a {miss.arch} for images of {got[1]} channel{'' if got[1] == 1 else 's'}, and"
                " a detector's have 3 (RGB)",
                "take a network of RGB images",
            )
    stages = tensor_stages(miss.arch)
    if not miss.misshapen and not miss.foreign and set(miss.missing) == _statistics(miss.arch):
        return (
            f"is a {miss.arch} without running_mean and running_var: its norms are group or layer"
            " norms, not batch norms, or its parameters alone were saved",
            "give the state_dict() of a network with batch norms",
        )
    gone = [
        stage
        for stage in dict.fromkeys(stages.values())
        if (own := [n for n in _names_of(miss.arch, stage)]) and set(own) <= set(miss.missing)
    ]
    if not miss.misshapen and not miss.foreign:
        what = listed([n for n in miss.missing if stages[n] in gone] or miss.missing)
        what = f"{', '.join(gone)} (no {what})" if gone else what
        return f"is a {miss.arch} without {what}", "give the file of the whole network"
    parts = []
    if miss.missing:
        parts.append(f"{len(miss.missing)} missing (first: {miss.missing[0]})")
    if miss.misshapen:
        name, is_shape, its_shape = miss.misshapen[0]
        parts.append(
            f"{len(miss.misshapen)} of another shape (first: {name} is {_shape(is_shape)}, not"
            f" {_shape(its_shape)})"
        )
    if miss.foreign:
        parts.append(f"{len(miss.foreign)} unexpected (first: {miss.foreign[0]})")
    return (
        f"is not {wanted}: the nearest is {miss.arch}, with tensors {', '.join(parts)}",
        _ADVICE,
    )


def _statistics(arch: str) -> set[str]:
    """Return the running means and variances of an architecture."""
    return {n for n in tensor_stages(arch) if n.endswith((".running_mean", ".running_var"))}


def _names_of(arch: str, stage: str) -> list[str]:
    """Return the tensors that a file must have of a stage."""
    return [n for n, s in tensor_stages(arch).items() if s == stage and COUNTER not in n]


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "one number"
