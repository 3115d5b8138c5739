"""What the checks of a data set found: counted by kind, with examples, in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from robust_det.data.detection.checking.kinds import KINDS, Kind

__all__ = ["Finding", "Report", "shortened"]

_EXAMPLES = 5


@dataclass
class Finding:
    """One kind, how often it was found, and the first few examples.

    Attributes:
        total: how many there are of what it is a share of; 0 if that is not known.
    """

    kind: Kind
    count: int = 0
    examples: list[str] = field(default_factory=list)
    total: int = 0

    def words(self) -> str:
        """Return such as ``2 missing images``, or ``2 missing images (10 % of all images)``."""
        text = f"{self.count} {self.kind.one if self.count == 1 else self.kind.many}"
        if not self.total:
            return text
        return f"{text} ({100 * self.count / self.total:.3g} % of all {self.kind.of})"

    def phrase(self) -> str:
        """Return such as ``2 missing images (first: a.jpg)``."""
        text = self.words()
        return f"{text} (first: {self.examples[0]})" if self.examples else text


class Report:
    """The findings on one data set.

    Args:
        name: of the data set.
        published: whether it is one of Detectron2's own, see :class:`.Kind`.
    """

    def __init__(self, name: str, published: bool = False) -> None:
        self.name = name
        self.published = published
        self._found: dict[str, Finding] = {}
        self._totals: dict[str, int] = {}

    def count_all(self, what: str, number: int) -> None:
        """Take over how many of something there are in all, such as ``images``, for shares."""
        self._totals[what] = number

    def add(self, kind: str, example: str = "", count: int = 1) -> bool:
        """Count more of a kind; return whether it is a problem, so that it is acted upon."""
        finding = self._found.setdefault(kind, Finding(KINDS[kind]))
        finding.count += count
        if example and len(finding.examples) < _EXAMPLES:
            finding.examples.append(example)
        return self._stops(finding.kind)

    def _in_order(self) -> Iterator[Finding]:
        for kind in KINDS:
            if (finding := self._found.get(kind)) is not None:
                finding.total = self._totals.get(finding.kind.of, 0)
                yield finding

    def _stops(self, kind: Kind) -> bool:
        return not kind.note and (kind.published or not self.published)

    @property
    def problems(self) -> list[Finding]:
        """What stops a run."""
        return [f for f in self._in_order() if self._stops(f.kind)]

    @property
    def notes(self) -> list[Finding]:
        """What is worth knowing and stops no run."""
        return [f for f in self._in_order() if not self._stops(f.kind)]

    def is_open(self, kind: str) -> bool:
        """Return whether an example of a kind would be kept."""
        return kind not in self._found or len(self._found[kind].examples) < _EXAMPLES

    @property
    def remarks(self) -> list[str]:
        """Notes that a run says when it starts, one line each; on data that Detectron2 registers,
        nothing is said: they are compared as they were published."""
        return [
            f"data set '{self.name}': {finding.phrase()}"
            for finding in self.notes
            if finding.kind.said and not self.published
        ]

    @property
    def hopeless(self) -> list[Finding]:
        """Problems that ``DATASETS.LENIENT`` cannot mend."""
        return [f for f in self.problems if not f.kind.remedy]

    def count(self, kind: str) -> int:
        """Return how often a kind was found."""
        return self._found[kind].count if kind in self._found else 0

    def complaint(self, mendable: bool = True) -> str:
        """Return the problems in one line, and what to do.

        Args:
            mendable: whether ``DATASETS.LENIENT`` may be named as a way out.
        """
        total = sum(f.count for f in self.problems)
        text = (
            f"data set '{self.name}' has {total} problem{'s' if total > 1 else ''}:"
            f" {', '.join(f.phrase() for f in self.problems)};"
        )
        # they may be why nothing is there
        if self.hopeless:
            text += "".join(f" note: {f.phrase()};" for f in self.notes if f.kind.said)
        text += " robust-det inspect shows more; mend the data"
        if mendable and not self.hopeless:
            text += ", or set DATASETS.LENIENT True to go on without"
        return text

    def cleaned(self) -> str:
        """Return in one line what was done about the problems."""
        done = (f"{f.phrase()} {f.kind.remedy}" for f in self.problems)
        return f"data set '{self.name}' was cleaned: {', '.join(done)}"

    def lines(self) -> list[str]:
        """Return the whole report: problems, then notes, each with its examples."""
        out = []
        for label, findings in (("problem", self.problems), ("note", self.notes)):
            for f in findings:
                out.append(f"{label}: {f.words()}")
                out += [f"    {example}" for example in f.examples]
                if f.count > len(f.examples) > 0:
                    out.append(f"    and {f.count - len(f.examples)} more")
        return out


def shortened(value: object) -> str:
    """Return a value in at most 60 characters or so, for an example."""
    text = str(value)
    return text if len(text) <= 60 else text[:60] + " ..."
