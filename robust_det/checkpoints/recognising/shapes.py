"""Which network tensors are by their shapes alone, whatever their names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from robust_det.models import ARCHITECTURES, get_architecture
from robust_det.models.registry import ResNetLayout
from robust_det.models.spelling import COUNTER
from robust_det.models.stages import tensor_shapes

__all__ = ["Residual", "registered_with", "residual"]

Shape = tuple[int, ...]
# tensors of a head and the like that may stand beside a network's own
_BESIDE = 8


@dataclass(frozen=True)
class Residual:
    """A residual network.

    Attributes:
        layout: its blocks and widths.
        stem: its first convolutions if they are other than one of 7x7, for people.
    """

    layout: ResNetLayout
    stem: str = ""

    @property
    def arch(self) -> str:
        """The registered architecture that it is; empty if it is none."""
        same = (name for name, arch in ARCHITECTURES.items() if arch.layout == self.layout)
        return "" if self.stem else next(same, "")

    def __str__(self) -> str:
        layout = self.layout
        inner, blocks = layout.inner_channels, " ".join(map(str, layout.blocks))
        depth = sum(layout.blocks) * (3 if layout.bottleneck else 2) + 2
        if layout.groups > 1:
            name = f"ResNeXt-{depth} {layout.groups}x{inner // layout.groups}d"
        elif layout.bottleneck and 4 * inner > layout.res2_channels:
            name = f"Wide ResNet-{depth}-{4 * inner // layout.res2_channels}"
        else:
            name = f"ResNet-{depth}"
        width = "" if layout.stem_channels == 64 else f", {layout.stem_channels} channels wide"
        kind = "bottleneck" if layout.bottleneck else "basic"
        return f"{name} ({kind} blocks {blocks}{width}{self.stem and ', '}{self.stem})"


def residual(shapes: Iterable[Shape]) -> Residual | None:
    """Return the residual network whose convolutions have these shapes, and no others; or None."""
    convolutions: Counter[Shape] = Counter(s for s in shapes if len(s) == 4 and min(s) > 0)
    for stem, rest, width in _without_stem(convolutions):
        layout = _layout(rest, width)
        if layout is not None and _convolutions(layout) == rest:
            return Residual(layout, stem)
    return None


def _without_stem(convolutions: Counter[Shape]) -> Iterator[tuple[str, Counter[Shape], int]]:
    """Yield what the stem may be, the other convolutions, and the stem's width."""
    first = [shape for shape in convolutions if shape[1] == 3 and shape[2] == shape[3]]
    if len(first) != 1 or convolutions[first[0]] != 1:
        return
    width, _, size, _ = first[0]
    rest = convolutions - Counter(first)
    yield ("" if size == 7 else f"a stem of {size}x{size}"), rest, width
    deep: Counter[Shape] = Counter([(width, width, 3, 3), (2 * width, width, 3, 3)])
    if size == 3 and deep <= rest:
        yield "a stem of three convolutions", rest - deep, 2 * width


def _layout(convolutions: Counter[Shape], stem: int) -> ResNetLayout | None:
    """Return the one layout that can have these convolutions; others may have them as well."""
    # in every block there is one of 3x3 for each two of 1x1, or there are two of 3x3
    by_width: Counter[int] = Counter()
    for (out, _, *size), count in convolutions.items():
        if size == [3, 3]:
            by_width[out] += count
    widths = sorted(by_width)
    if len(widths) != 4 or widths != [widths[0] * 2**i for i in range(4)]:
        return None
    counts = [by_width[width] for width in widths]
    points = {shape: n for shape, n in convolutions.items() if shape[2:] == (1, 1)}
    bottleneck = sum(points.values()) >= 2 * sum(counts)
    if not bottleneck:
        blocks = [count // 2 for count in counts]
        return _made(blocks, False, stem, widths[0], widths[0], 1)
    inside = next(s[1] for s in convolutions if s[0] == widths[0] and s[2:] == (3, 3))
    deepest = max(shape[0] for shape in points)
    return _made(counts, True, stem, deepest // 8, widths[0], widths[0] // inside)


def _made(blocks: Sequence[int], bottleneck: bool, *widths: int) -> ResNetLayout | None:
    a, b, c, d = blocks
    whole = min(*blocks, *widths) > 0
    return ResNetLayout((a, b, c, d), bottleneck, *widths) if whole else None


def _convolutions(layout: ResNetLayout) -> Counter[Shape]:
    """Return the shapes of a network's convolutions, but for its stem's."""
    shapes: list[Shape] = []
    before = layout.stem_channels
    for i, blocks in enumerate(layout.blocks):
        out, inner = layout.res2_channels * 2**i, layout.inner_channels * 2**i
        for block in range(blocks):
            if layout.bottleneck:
                shapes += [(inner, before, 1, 1), (inner, inner // layout.groups, 3, 3)]
                shapes.append((out, inner, 1, 1))
            else:
                shapes += [(out, before, 3, 3), (out, out, 3, 3)]
            if block == 0 and (i or before != out):
                shapes.append((out, before, 1, 1))
            before = out
    return Counter(shapes)


def registered_with(shapes: Sequence[Shape]) -> str:
    """Return the registered architecture whose body's tensors have these shapes, or nothing.

    Few others may be among them, such as a head's. Sides of length 1 are no matter.
    """
    given = Counter(_sides(shape) for shape in shapes)
    best, fewest = "", _BESIDE + 1
    for name in ARCHITECTURES:
        own, architecture = tensor_shapes(name), get_architecture(name)
        body = [n for n in own if not architecture.in_head(n) and COUNTER not in n]
        needed = Counter(_sides(own[n]) for n in body)
        # a count of steps is one number
        beside = sum(count for sides, count in (given - needed).items() if sides)
        if needed <= given and beside < fewest:
            best, fewest = name, beside
    return best


def _sides(shape: Shape) -> Shape:
    return tuple(n for n in shape if n != 1)
