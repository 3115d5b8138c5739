"""Drawing the synthetic scenes: textured shapes on a cluttered background, with their masks.

A class is a shape and nothing else: colour, texture, place, size, rotation and stretch are random
and drawn the same way for every class, so only the outline tells them apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["SHAPES", "SceneObject", "draw_object_scene", "draw_single_shape"]

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Outline = NDArray[np.float64]
_Float = NDArray[np.float32]

_SUPERSAMPLING = 4  # per axis: edges with 17 grey levels
_SMALLEST_VISIBLE = 48  # pixels; below it neither an eye nor a detector can name a shape
_LEAST_VISIBLE_SHARE = 0.5  # of an object's own pixels, after all that lies on top of it


def _polygon(*points: tuple[float, float]) -> list[Outline]:
    return [np.array(points)]


def _arc(radius: float, start: float, stop: float, shift: float = 0.0) -> Outline:
    angle = np.linspace(start, stop, 48)
    return np.stack([radius * np.cos(angle) + shift, radius * np.sin(angle)], axis=1)


def _star() -> list[Outline]:
    angle = np.arange(10) * np.pi / 5 - np.pi / 2
    radius = np.where(np.arange(10) % 2, 0.42, 1.0)
    return [np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)]


def _crescent() -> list[Outline]:
    # the unit circle less a circle of radius 0.8 around (0.5, 0); they meet at x = 0.61
    outer, inner = np.arccos(0.61), np.arctan2(np.sin(np.arccos(0.61)), 0.11)
    bite = _arc(0.8, 2 * np.pi - inner, inner, shift=0.5)
    return [np.concatenate([_arc(1.0, outer, 2 * np.pi - outer), bite])]


def _heart() -> list[Outline]:
    t = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    return [np.stack([x, y], axis=1) / 17]


_A = 0.32  # half the width of the cross's arms
# Name -> closed outlines within about the unit circle; two outlines enclose what lies between.
SHAPES: dict[str, list[Outline]] = {
    "circle": [_arc(0.95, 0, 2 * np.pi)],
    "square": _polygon((-0.8, -0.8), (0.8, -0.8), (0.8, 0.8), (-0.8, 0.8)),
    "triangle": _polygon((0, -1), (0.87, 0.5), (-0.87, 0.5)),
    "star": _star(),
    "ring": [_arc(1.0, 0, 2 * np.pi), _arc(0.55, 0, 2 * np.pi)],
    "cross": _polygon(
        *[(-_A, -1), (_A, -1), (_A, -_A), (1, -_A), (1, _A), (_A, _A)],
        *[(_A, 1), (-_A, 1), (-_A, _A), (-1, _A), (-1, -_A), (-_A, -_A)],
    ),
    "crescent": _crescent(),
    "heart": _heart(),
}


@dataclass
class SceneObject:
    """One shape of a scene.

    Attributes:
        shape: a key of :data:`SHAPES`.
        visible: (H, W) boolean mask of the pixels where nothing lies on top of it.
        pixels: the size of its mask before anything was put on top; ``visible`` is a part of it.
    """

    shape: str
    visible: Mask
    pixels: int


def _smooth_noise(rng: np.random.Generator, size: int, cells: int, channels: int) -> _Float:
    """Return (size, size, channels) noise in [-1, 1] with ``cells`` blobs a side."""
    coarse = rng.uniform(-1, 1, (cells, cells, channels)).astype(np.float32)
    fine = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
    return np.clip(fine.reshape(size, size, channels), -1, 1).astype(np.float32)


def _background(rng: np.random.Generator, size: int) -> _Float:
    """Return an (size, size, 3) canvas in [0, 1]: drifting colour, mottle, and loose strokes."""
    canvas = rng.uniform(0.25, 0.75, 3).astype(np.float32) + np.zeros((size, size, 3), np.float32)
    canvas += rng.uniform(0.03, 0.12) * _smooth_noise(rng, size, int(rng.integers(2, 5)), 3)
    canvas += rng.uniform(0.01, 0.06) * _smooth_noise(rng, size, int(rng.integers(6, 14)), 1)
    canvas = np.ascontiguousarray(np.clip(canvas, 0, 1))
    for _ in range(int(rng.integers(2, 6))):
        start = rng.integers(0, size, 2)
        stop = start + rng.integers(-size // 3, size // 3 + 1, 2)
        nearby = canvas[start[1], start[0]] + rng.uniform(-0.2, 0.2, 3)
        width = int(rng.integers(1, max(2, size // 24) + 1))
        ends = (int(start[0]), int(start[1])), (int(stop[0]), int(stop[1]))
        cv2.line(canvas, *ends, np.clip(nearby, 0, 1).tolist(), width, cv2.LINE_AA)
    return canvas


def _plain(rng: np.random.Generator, size: int) -> _Float:
    return np.zeros((size, size, 1), np.float32)


def _stripes(rng: np.random.Generator, size: int) -> _Float:
    angle, period = rng.uniform(0, np.pi), rng.uniform(0.07, 0.16) * size
    y, x = np.mgrid[:size, :size]
    wave = np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period)
    return wave[..., None].astype(np.float32)


def _checks(rng: np.random.Generator, size: int) -> _Float:
    return np.sign(_stripes(rng, size) * _stripes(rng, size)).astype(np.float32)


def _mottle(rng: np.random.Generator, size: int) -> _Float:
    return _smooth_noise(rng, size, int(rng.integers(5, 12)), 1)


_TEXTURES: tuple[Callable[[np.random.Generator, int], _Float], ...] = (
    _plain,
    _stripes,
    _checks,
    _mottle,
)


def _coverage(rng: np.random.Generator, shape: str, size: int, low: float, high: float) -> _Float:
    """Return (size, size) in [0, 1]: how much of each pixel a randomly placed shape covers."""
    radius = rng.uniform(low, high)
    margin = 0.75 * radius  # a quarter of the radius may leave the picture
    centre = rng.uniform(margin, size - margin, 2)
    turn, stretch = rng.uniform(0, 2 * np.pi), rng.uniform(0.8, 1.25)
    cos, sin = np.cos(turn), np.sin(turn)
    rotation = np.array([[cos, -sin], [sin, cos]])
    warp = rotation @ np.diag([radius * stretch**0.5, radius / stretch**0.5])
    fine = np.zeros((size * _SUPERSAMPLING,) * 2, np.uint8)
    points = [(o @ warp.T + centre) * _SUPERSAMPLING - 0.5 for o in SHAPES[shape]]
    # fillPoly takes fixed-point numbers; 8 fractional bits are far below a visible step
    cv2.fillPoly(fine, [np.round(p * 256).astype(np.int32) for p in points], (255,), shift=8)
    return cv2.resize(fine, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def _paint(rng: np.random.Generator, canvas: _Float, cover: _Float) -> _Float:
    """Return the canvas with a randomly coloured and textured shape laid over it."""
    behind = canvas[cover >= 0.5].mean(axis=0)
    colour = rng.uniform(0, 1, 3)
    while np.linalg.norm(colour - behind) < 0.55:  # a shape of the ground's colour is no shape
        colour = rng.uniform(0, 1, 3)
    texture = _TEXTURES[rng.integers(len(_TEXTURES))](rng, len(canvas))
    fill = colour.astype(np.float32) + rng.uniform(0.03, 0.12) * texture
    painted = canvas + cover[..., None] * (np.clip(fill, 0, 1) - canvas)
    return painted.astype(np.float32)


def _finish(rng: np.random.Generator, canvas: _Float) -> Image:
    noise = rng.normal(0, rng.uniform(0.01, 0.04), canvas.shape)
    return np.round(np.clip(canvas + noise, 0, 1) * 255).astype(np.uint8)


def draw_single_shape(rng: np.random.Generator, shape: str, size: int) -> Image:
    """Draw one large shape on clutter.

    Args:
        rng: everything random is drawn from it.
        shape: a key of :data:`SHAPES`.
        size: height and width in pixels.

    Returns:
        An RGB image (size, size, 3), uint8 in [0, 255].
    """
    canvas = _background(rng, size)
    cover = _coverage(rng, shape, size, 0.26 * size, 0.42 * size)
    return _finish(rng, _paint(rng, canvas, cover))


def draw_object_scene(
    rng: np.random.Generator, shapes: list[str], size: int
) -> tuple[Image, list[SceneObject]]:
    """Draw several shapes, later ones over earlier ones, none of them hidden by more than half.

    Args:
        rng: everything random is drawn from it.
        shapes: keys of :data:`SHAPES`, bottom first. One that finds no place in 20 tries is left
            out; the first always finds one.
        size: height and width in pixels, 64 or more.

    Returns:
        An RGB image (size, size, 3), uint8 in [0, 255], and the objects, bottom first. Their
        visible masks do not overlap.
    """
    canvas = _background(rng, size)
    objects: list[SceneObject] = []
    for shape in shapes:
        for _ in range(20):
            cover = _coverage(rng, shape, size, 0.09 * size, 0.24 * size)
            mask = cover >= 0.5
            if mask.sum() >= _SMALLEST_VISIBLE and _leaves_enough(objects, mask):
                break
        else:
            continue
        for below in objects:
            below.visible &= ~mask
        objects.append(SceneObject(shape, mask, int(mask.sum())))
        canvas = _paint(rng, canvas, cover)
    return _finish(rng, canvas), objects


def _leaves_enough(objects: list[SceneObject], mask: Mask) -> bool:
    """Whether every object would stay recognisable under one more shape with this mask."""
    for below in objects:
        left = int((below.visible & ~mask).sum())
        if left < max(_SMALLEST_VISIBLE, _LEAST_VISIBLE_SHARE * below.pixels):
            return False
    return True
