"""The overview: one line for each architecture, eps and task, of runs that are comparable."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from robust_det.analysis.admission.terms import Terms, terms_of
from robust_det.analysis.differences import as_key, condition_differences
from robust_det.analysis.summary import Summary, difference, summarise
from robust_det.analysis.texture_trained import TEXTURE_TRAINED, note_of, shown_arch
from robust_det.analysis.ways import Ways
from robust_det.core.epsilon import eps_label
from robust_det.records.base import Record
from robust_det.records.detection import DetectionRecord
from robust_det.records.metrics import task_of
from robust_det.records.rows import figures
from robust_det.site.library import Library, Run

__all__ = ["HOW_TO_READ", "Group", "Place", "groups_of", "setting_words"]

HOW_TO_READ = (
    "A line is of runs that differ in their seeds alone. The figure is the mean over backbones, of"
    " each of which its runs are averaged first; ± is the standard deviation over backbones from"
    " three on, below that the range stands in its place. Δ is the difference to the standard"
    " backbone of the same setting and architecture, where these were all pretrained in one way."
    " Neither says how sure a difference is: the pages of the comparisons and questions do."
)

_METRICS = {
    "clean_top1": "top-1",
    "top1": "top-1",
    "mean_per_class": "mean per class",
    "adversarial_top1": "adversarial top-1",
}
_ORDER = {"detection": 0, "transfer": 1, "pretrain": 2}
_ATTACKED = "adversarial_"
_LEFT = "robust_top1."


class Place(NamedTuple):
    """What a line says of a run but for architecture, eps and setting: columns of
    :data:`.rows.COLUMNS`, and the figure in words."""

    kind: str
    task: str
    dataset: str
    mode: str
    protocol: str
    metric: str


@dataclass(frozen=True)
class Group:
    """Comparable runs of one architecture and eps, by one figure.

    Attributes:
        runs: that have the figure.
        place: what they and the runs they are compared with are of.
        headline: whether it is what such runs are compared by.
        setting: a number, where runs that look alike here were trained or evaluated in several
            ways.
        terms: how.
        values: of each backbone, over its runs.
        way: of pretraining, in words, where backbones that are alike have had several.
        delta: to the standard backbones of the setting; None without, or if they were pretrained
            in several ways.
    """

    runs: Sequence[Run]
    place: Place
    headline: bool
    setting: str
    terms: Mapping[str, Any]
    values: Sequence[float]
    way: str = ""
    delta: Summary | None = None

    @property
    def arch(self) -> str:
        """As :func:`.shown_arch` has it."""
        return shown_arch(self.runs[0].record)

    @property
    def is_standard(self) -> bool:
        """Whether others are compared with it."""
        return self.row["eps"] == 0 and not note_of(self.arch)

    @property
    def row(self) -> Mapping[str, Any]:
        """What all of them have in common; see :data:`.rows.COLUMNS`."""
        return self.runs[0].row

    @property
    def mean(self) -> Summary:
        """Over backbones."""
        return summarise(self.values)

    @property
    def backbone(self) -> str:
        """The pretraining in words: its eps, and its way where that tells it from others."""
        if note_of(self.arch):
            return TEXTURE_TRAINED
        if self.row["eps"] is None:
            return f"ε unknown ({_backbone(self.runs[0])[:8]})"
        return ", ".join(filter(None, (eps_label(self.row["norm"], self.row["eps"]), self.way)))

    @property
    def backbones(self) -> int:
        """How many weights the runs started from, or are."""
        return len(self.values)


@dataclass(frozen=True)
class _Figure:
    run: Run
    metric: str
    headline: bool
    value: float
    terms: Mapping[str, Any]
    way: bytes  # of pretraining, see Ways

    @property
    def place(self) -> Place:
        """See :class:`Place`."""
        row = self.run.row
        return Place(
            row["kind"], row["task"], row["dataset"], row["mode"], row["protocol"], self.metric
        )

    @property
    def backbone(self) -> tuple[Any, ...]:
        """Of an unknown eps each is one of its own: nothing says that two are alike."""
        row = self.run.row
        alone = _backbone(self.run) if row["eps"] is None else ""
        return (shown_arch(self.run.record), row["norm"], row["eps"], alone, self.way)


def groups_of(library: Library) -> list[Group]:
    """Return the lines of the overview, of all runs whose figures may enter a mean."""
    places: dict[Place, dict[bytes, list[_Figure]]] = {}
    ways = Ways(run.record for run in library.runs)
    for one in _figures(library.runs, ways):
        places.setdefault(one.place, {}).setdefault(as_key(one.terms), []).append(one)
    out: list[Group] = []
    for place in sorted(places, key=lambda place: (_ORDER.get(place.kind, 9), *place[1:])):
        settings = places[place]
        several = len(settings) > 1
        for number, found in enumerate(settings.values()):
            out += _of_setting(found, str(number + 1) if several else "", ways)
    return out


def setting_words(groups: Iterable[Group]) -> list[tuple[str, list[str]]]:
    """Return, for each line of several settings, how these differ from the first: heading, words.

    Args:
        groups: of :func:`groups_of`.
    """
    firsts: dict[str, tuple[str, Mapping[str, Any]]] = {}
    seen: set[tuple[str, str]] = set()
    out: dict[str, list[str]] = {}
    for one in groups:
        of = one.place
        parts = (of.dataset, of.task, of.mode, of.protocol, of.metric)
        heading = ", ".join(filter(None, parts))
        if not one.setting or (heading, one.setting) in seen:
            continue
        seen.add((heading, one.setting))
        number, first = firsts.setdefault(heading, (one.setting, one.terms))
        if number == one.setting:
            continue
        found = condition_differences(first, one.terms)
        shown = "; ".join(f"{key} {before} and {after}" for key, before, after in found[:4])
        more = f"; and {len(found) - 4} more" if len(found) > 4 else ""
        out.setdefault(heading, []).append(f"{number} and {one.setting}: {shown}{more}")
    return list(out.items())


def _figures(runs: Iterable[Run], ways: Ways) -> Iterator[_Figure]:
    for run in runs:
        if not run.counts:
            continue
        without = {one.figure for one in run.left_out}
        terms = terms_of(run.record)
        clean = {**terms.training, **terms.evaluation}
        for name, words, value in _shown(run.record):
            if name not in without and value is not None:
                headline = name == run.row["headline"]
                every = {**clean, **_attack(name, terms)}
                yield _Figure(run, words, headline, value, every, ways.of(run.record))


def _attack(name: str, terms: Terms) -> Mapping[str, Any]:
    return terms.attack if name.startswith(_ATTACKED) else {}


def _shown(record: Record) -> Iterator[tuple[str, str, float | None]]:
    """Yield the figures that a line stands for: name, words, value."""
    for name, value in figures(record):
        if isinstance(record, DetectionRecord):
            task, _, metric = name.rpartition(".")
            if metric == task_of(task).headline:
                yield name, task_of(task).name, value
        elif name in _METRICS:
            yield name, _METRICS[name], value
        elif name.startswith(_LEFT):
            yield name, f"robust top-1, ε {name.removeprefix(_LEFT)}", value


def _of_setting(found: Sequence[_Figure], setting: str, ways: Ways) -> Iterator[Group]:
    """Yield the groups of runs of one setting, architectures by name, eps from 0 on."""
    cells: dict[tuple[Any, ...], list[_Figure]] = {}
    for one in found:
        cells.setdefault(one.backbone, []).append(one)
    groups = []
    for key in sorted(cells, key=lambda key: (*_order(key), ways.words(key[-1], ()))):
        of, way = cells[key], key[-1]
        groups.append(
            Group(
                [one.run for one in of],
                of[0].place,
                of[0].headline,
                setting,
                of[0].terms,
                _of_backbones(of),
                ways.words(way, (other[-1] for other in cells if other[:-1] == key[:-1])),
            )
        )
    for group in groups:
        standard = [one for one in groups if one.arch == group.arch and one.is_standard]
        if group.row["eps"] and len(standard) == 1:
            delta = difference(group.mean, standard[0].mean)
            yield replace(group, delta=delta)
        else:
            yield group


def _of_backbones(found: Sequence[_Figure]) -> list[float]:
    """Return the mean of each backbone's runs."""
    by_backbone: dict[str, list[float]] = {}
    for one in found:
        by_backbone.setdefault(_backbone(one.run), []).append(one.value)
    return [sum(values) / len(values) for values in by_backbone.values()]


def _backbone(run: Run) -> str:
    return run.record.weights.origin or run.slug  # of unknown weights each run is one of its own


def _order(key: tuple[Any, ...]) -> tuple[Any, ...]:
    arch, norm, eps, alone, _ = key
    return (arch, norm, math.inf if eps is None else eps, alone)
