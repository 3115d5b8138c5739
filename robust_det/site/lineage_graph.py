"""Where a run comes from and what came of it, as a picture whose boxes lead to the runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from robust_det.core.epsilon import eps_label
from robust_det.records.lineage import Link, made_by, made_from
from robust_det.site.library import Library, Run

__all__ = ["lineage_svg"]

_KINDS = {
    "pretrain": "pretraining",
    "detection": "fine-tuning",
    "transfer": "transfer",
    "classifier_evaluation": "evaluation",
    "robustness": "robustness",
}
_STEPS = 6  # up and down, at most
_TALL = 8  # boxes above each other, at most
_BOX, _LINE, _GAP_X, _GAP_Y = 172, 46, 44, 12
_LONGEST = 25  # characters that a box has room for


@dataclass(frozen=True)
class _Box:
    """A run, a conversion, or weights without a run; ``key`` tells them apart."""

    key: str
    head: str
    name: str
    href: str = ""
    style: str = ""


def lineage_svg(library: Library, number: int) -> tuple[Markup, str]:
    """Return the graph of a run as an ``<svg>`` element, and the same in words.

    Args:
        library: the runs.
        number: the run's place among them.
    """
    columns, edges = _Graph(library, number).laid_out()
    words = " → ".join(
        ", ".join(f"{box.head} {box.name}" for box in column) for column in columns if column
    )
    return _drawn(columns, edges, words), words


class _Graph:
    """The boxes by columns, from what was there first, and which leads to which."""

    def __init__(self, library: Library, number: int) -> None:
        self._library, self._number = library, number
        self._edges: dict[tuple[str, str], None] = {}
        self._hidden: dict[str, str] = {}  # what there was no room for -> the box in its place

    def laid_out(self) -> tuple[list[list[_Box]], list[tuple[str, str]]]:
        this = self._box(self._number, "this")
        before, after = self._columns(this, back=True), self._columns(this, back=False)
        place = self._hidden.get
        edges = dict.fromkeys((place(one, one), place(two, two)) for one, two in self._edges)
        return [*reversed(before), [this], *after], list(edges)

    def _columns(self, this: _Box, back: bool) -> list[list[_Box]]:
        """Return the columns before or after the run, the nearest first."""
        lineage, columns = self._library.lineage, list[list[_Box]]()
        those, seen = {self._number: this}, {self._number}
        for _ in range(_STEPS):
            column: dict[str, _Box] = {}
            conversions: dict[str, _Box] = {}
            further: dict[int, _Box] = {}
            for number, box in those.items():
                links = lineage.parents(number) if back else lineage.children(number)
                for link in links:
                    other = link.parent if back else link.child
                    if other in seen:
                        continue
                    one = further.setdefault(other, self._box(other))
                    column[one.key] = one
                    self._join(*((one, box) if back else (box, one)), link, conversions)
                if back and not links:
                    for one in self._unknown(number):
                        column[one.key] = one
                        self._edges[one.key, box.key] = None
            seen |= further.keys()
            columns += [self._short(boxes) for boxes in (conversions, column) if boxes]
            # what has no box leads no further either
            those = {n: box for n, box in further.items() if box.key not in self._hidden}
        return columns

    def _join(self, one: _Box, two: _Box, link: Link, conversions: dict[str, _Box]) -> None:
        if not link.converted:
            self._edges[one.key, two.key] = None
            return
        between = _Box(f"c{link.converted}", "conversion", link.converted[:12])
        conversions[between.key] = between
        self._edges[one.key, between.key] = None
        self._edges[between.key, two.key] = None

    def _short(self, column: Mapping[str, _Box]) -> list[_Box]:
        """Return the boxes of a column, the last of which may stand for all that are too many."""
        boxes = list(column.values())
        if len(boxes) <= _TALL:
            return boxes
        kept, rest = boxes[: _TALL - 1], boxes[_TALL - 1 :]
        more = _Box(
            f"m{kept[0].key}", f"and {len(rest)} more", "in the list of runs", "../runs.html"
        )
        self._hidden |= {box.key: more.key for box in rest}
        return [*kept, more]

    def _box(self, number: int, style: str = "") -> _Box:
        run = self._library.runs[number]
        head = _KINDS.get(run.record.kind(), run.record.kind())
        href = "" if style else f"{run.slug}.html"
        return _Box(f"r{number}", f"{head}, {_what(run)}", run.name, href, style)

    def _unknown(self, number: int) -> Iterator[_Box]:
        """Yield the weights that a run started from, or is of, where no run here made them."""
        record = self._library.runs[number].record
        for sha256, _, _ in made_from(record):
            if sha256 and sha256 != made_by(record):
                what = eps_label(record.norm, record.eps)
                yield _Box(
                    f"w{sha256}", f"weights, {what}", f"{sha256[:12]}, no record", "", "unknown"
                )


def _what(run: Run) -> str:
    if run.record.kind() == "pretrain":
        return eps_label(run.record.norm, run.record.eps)
    return str(run.row["dataset"])


def _drawn(
    columns: Sequence[Sequence[_Box]], edges: Sequence[tuple[str, str]], words: str
) -> Markup:
    tallest = max(len(column) for column in columns)
    height = tallest * (_LINE + _GAP_Y) - _GAP_Y + 4
    width = len(columns) * (_BOX + _GAP_X) - _GAP_X + 4
    places: dict[str, tuple[float, float]] = {}
    boxes = []
    for across, column in enumerate(columns):
        top = 2 + (height - 4 - len(column) * (_LINE + _GAP_Y) + _GAP_Y) / 2
        for down, box in enumerate(column):
            x, y = 2 + across * (_BOX + _GAP_X), top + down * (_LINE + _GAP_Y)
            places[box.key] = x, y
            boxes.append(_box_svg(box, x, y))
    lines = []
    for one, two in edges:
        if one in places and two in places:
            (x1, y1), (x2, y2) = places[one], places[two]
            x1, y1, y2 = x1 + _BOX, y1 + _LINE / 2, y2 + _LINE / 2
            bend = (x1 + x2) / 2
            lines.append(f"M{x1:g} {y1:g}C{bend:g} {y1:g} {bend:g} {y2:g} {x2:g} {y2:g}")
    return Markup(
        '<svg role="group" aria-label="{}" width="{w:g}" height="{h:g}" viewBox="0 0 {w:g} {h:g}">'
        '<path d="{}"/>{}</svg>'
    ).format(words, "".join(lines), Markup("").join(boxes), w=width, h=height)


def _box_svg(box: _Box, x: float, y: float) -> Markup:
    shape = Markup(
        '<title>{}</title><rect x="{x:g}" y="{y:g}" width="{}" height="{}" rx="7"/>'
        '<text x="{t:g}" y="{one:g}">{}</text><text class="name" x="{t:g}" y="{two:g}">{}</text>'
    ).format(
        f"{box.head}: {box.name}",
        _BOX,
        _LINE,
        _cut(box.head),
        _cut(box.name),
        x=x,
        y=y,
        t=x + 10,
        one=y + 18,
        two=y + 35,
    )
    inner = Markup('<a href="{}">{}</a>').format(box.href, shape) if box.href else shape
    return Markup('<g class="{}">{}</g>').format(box.style, inner)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
