"""Different files of a kind, and how many are due."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from .memory import MEGABYTES, peak_memory

# different files that are tried; the bombs come on top
COUNTS = {
    "truncated": 250,
    "flipped": 450,
    "overwritten": 300,
    "contents": 300,
    "opcodes": 330,
    "gadgets": 300,
    "archives": 60,
    "headers": 100,
}


class Case:
    """A file and what is known about it; no dataclass, which Hypothesis would show in full."""

    def __init__(self, base: str, change: str, data: bytes, expected: Any = None) -> None:
        self.base, self.change, self.data, self.expected = base, change, data, expected

    def __repr__(self) -> str:
        return f"<{self.base}: {self.change}>"  # without the bytes


def fuzz(
    kind: str, cases: st.SearchStrategy[Any], check: Callable[[Any], None], tries: float = 1.5
) -> None:
    """Try as many different files of a kind as are due, and up to ``tries`` times as many."""
    seen: set[int] = set()
    peak = peak_memory()

    @settings(
        max_examples=int(COUNTS[kind] * tries),
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(cases)
    def run(case: Any) -> None:
        seen.add(hash(case.data))
        check(case)

    run()
    assert len(seen) >= COUNTS[kind]
    grown = peak_memory() - peak
    assert grown < MEGABYTES * 1024, f"{grown} kB"
