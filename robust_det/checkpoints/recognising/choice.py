"""The networks that were found in a file, and which of its copies is meant."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from typing import Any

from robust_det.checkpoints.reading import LazyTensor, load_tensor
from robust_det.core.errors import FileError
from robust_det.models import get_architecture

__all__ = ["Found", "choose", "quoted"]

# where training scripts keep the averaged weights, which are the ones to use, and where they do not
_AVERAGED, _NEGATIONS = {"ema", "average", "averaged"}, {"no", "non", "not", "without"}
# second copies: the attack's of the robustness library, the momentum encoders of MoCo and targets
# of BYOL, and an average in the making, whose statistics Lightning computes at the end of training
_SECOND = re.compile(
    r"(^|[./])(attacker|encoder_k|momentum_(encoder|backbone)|(encoder|backbone)_momentum"
    r"|target_(net|network|encoder))[./]|^callbacks\.StochasticWeightAveraging"
)
# DINO's student, which its teacher is the average of; a distillation's is what was trained
_STUDENT = re.compile(r"(^|[./])student[./](module\.)?backbone[./]")


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
        copies: other copies of the network, which were not chosen.
        is_averaged: whether the file says that the weights are averaged ones.
    """

    arch: str
    library: str
    container: str
    prefix: str
    tensors: Mapping[str, LazyTensor]
    shapes: Mapping[str, tuple[int, ...]]
    beside: Mapping[str, LazyTensor]
    copies: tuple[Found, ...] = ()
    is_averaged: bool = False

    @property
    def place(self) -> str:
        """The container and the prefix, as ``--prefix`` takes them."""
        return f"{self.container}/{self.prefix}" if self.container else self.prefix

    @property
    def has_head(self) -> bool:
        """Whether it comes with a classification head."""
        return f"{get_architecture(self.arch).head}.weight" in self.tensors

    @property
    def is_moco(self) -> bool:
        """Whether it is one of MoCo's two encoders."""
        return self.prefix.endswith(("encoder_q.", "encoder_k."))

    @property
    def is_own_teacher(self) -> bool:
        """Whether it is the teacher of a student that is a copy of it, as in DINO."""
        return any(_STUDENT.search(copy.place) for copy in self.copies)

    @property
    def classifies(self) -> bool:
        """Whether the head is one of classes; MoCo's is a projection."""
        return self.has_head and not self.is_moco

    @property
    def identity(self) -> tuple[Any, ...]:
        """Equal for two names of the same tensors."""
        return (self.arch, *(tensor.identity for tensor in self.tensors.values()))


def choose(found: list[Found], value: Any) -> Found:
    """Choose among what fits: one copy of each, averaged weights first, second copies last.

    Args:
        found: all that fits.
        value: the file's content, which may show who wrote it.

    Raises:
        FileError: several networks, of one architecture or more.
    """
    # where two spellings differ in the head alone, the one that has a head is meant
    whole: dict[tuple[str, str], Found] = {}
    for f in found:
        other = whole.setdefault((f.arch, f.place), f)
        if len(f.tensors) > len(other.tensors):
            whole[f.arch, f.place] = f
    unique = list({f.identity: f for f in reversed(whole.values())}.values())[::-1]
    # copies are of one architecture: another one is another network
    by_arch = {f.arch: f.place for f in reversed(unique)}
    archs = sorted(by_arch)
    if len(archs) > 1:
        places = [by_arch[arch] for arch in archs]
        where = f", which are at {quoted(places)}" if len(set(places)) > 1 else ""
        raise FileError(
            f"could be {' or '.join(archs)}{where}", f"say which with --arch {archs[0]}"
        )
    roles = _Roles(value)
    best = min(map(roles.rank, unique))
    best_ones = [f for f in unique if roles.rank(f) == best]
    if len(best_ones) > 1:
        raise FileError(
            f"holds {len(best_ones)} different networks {archs[0]}, at"
            f" {quoted(f.place for f in best_ones)}",
            f"choose with --prefix '{best_ones[0].place}'",
        )
    chosen = best_ones[0]
    copies = tuple(f for f in unique if f is not chosen)
    return replace(chosen, copies=copies, is_averaged=best == 0)


class _Roles:
    """Tells what copies are for, by where training scripts keep them.

    mmengine's and Lightning's averaging swap the weights when they save: what is evaluated, the
    average, is in ``state_dict``, and the weights that are trained are in a dictionary beside it.
    """

    def __init__(self, value: Any) -> None:
        self.averages, self.trained = "", ""
        content = value if isinstance(value, dict) else {}
        meta = content.get("meta")
        says_mmengine = isinstance(meta, dict) and "mmengine_version" in meta
        if "ema_state_dict" in content and (says_mmengine or "message_hub" in content):
            self.averages, self.trained = "state_dict", "ema_state_dict"
        if "current_model_state" in content and "state_dict" in content:
            self.averages, self.trained = "state_dict", "current_model_state"
            if _never_averaged(content.get("averaging_state")):
                self.averages, self.trained = self.trained, self.averages
        # two dictionaries, or a name: a distillation's networks are parts of one module
        self.is_dino = {"teacher", "student"} <= content.keys() or any(
            isinstance(key, str) and "dino" in key for key in content
        )

    def rank(self, found: Found) -> int:
        """0 of averaged weights, 1 of others, 2 of second copies."""
        outer = found.container.partition(".")[0]
        if self.averages and outer in (self.averages, self.trained):
            return 0 if outer == self.averages else 2
        if _SECOND.search(found.place) or (self.is_dino and _STUDENT.search(found.place)):
            return 2
        words = ["", *re.split(r"[^a-z]+", found.place.lower())]
        averaged = any(
            word in _AVERAGED and before not in _NEGATIONS for before, word in pairwise(words)
        )
        return 0 if averaged else 1


def _never_averaged(state: Any) -> bool:
    """Whether Lightning's averaging had not begun: its average is what training started from."""
    count = state.get("n_averaged") if isinstance(state, dict) else None
    return isinstance(count, LazyTensor) and count.shape == () and not load_tensor(count, "").any()


def quoted(places: Iterable[str]) -> str:
    """Return some places for a message."""
    return ", ".join(f"'{place}'" for place in islice(places, 5))
