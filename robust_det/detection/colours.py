"""One colour a class, the same in all pictures of all runs."""

from __future__ import annotations

import colorsys
from typing import Any

from detectron2.data.catalog import Metadata
from detectron2.utils.visualizer import ColorMode, Visualizer
from matplotlib.patheffects import Normal, Stroke

__all__ = ["ClassVisualizer", "class_colours", "drawable"]

_GOLDEN = 0.618034  # of the circle of hues: neighbours in number are far apart
_LIGHTNESS = 0.65  # is seen on dark images as well


def class_colours(count: int) -> list[tuple[int, int, int]]:
    """Return RGB colours in 0 to 255, each a function of its class's number alone."""
    hues = [number * _GOLDEN % 1 for number in range(count)]
    colours = [colorsys.hls_to_rgb(hue, _LIGHTNESS, 1) for hue in hues]
    return [(round(255 * r), round(255 * g), round(255 * b)) for r, g, b in colours]


class _Border(Stroke):
    """A line below another, which does not fill what it surrounds once more."""

    def draw_path(
        self,
        renderer: Any,
        gc: Any,
        tpath: Any,
        affine: Any,
        rgbFace: Any = None,
    ) -> None:
        super().draw_path(renderer, gc, tpath, affine, None)


class ClassVisualizer(Visualizer):
    """Detectron2's, but all of an object is drawn in the colour of its class.

    Args:
        image: (H, W, 3) uint8, RGB.
        metadata: names the classes.
        scale: how much larger than the image its picture is.
    """

    def __init__(self, image: Any, metadata: Metadata, scale: float) -> None:
        things = len(metadata.get("thing_classes", []))
        colours = class_colours(things + len(metadata.get("stuff_classes", [])))
        own = {"thing_colors": colours[:things], "stuff_colors": colours[things:]}
        coloured = Metadata(**{**metadata.as_dict(), **own})
        super().__init__(image, coloured, scale, ColorMode.SEGMENTATION)

    def overlay_instances(self, *, alpha: float = 0.5, **objects: Any) -> Any:
        # in this mode predictions would hide what is below them, and the ground truth would not
        return super().overlay_instances(alpha=min(alpha, 0.5), **objects)

    def draw_box(self, box_coord: Any, alpha: float = 1.0, **style: Any) -> Any:
        # half-transparent, as Detectron2 has it, a line takes the colour of what is below it
        return self._edged(super().draw_box(box_coord, alpha=1.0, **style))

    def draw_polygon(self, *args: Any, **style: Any) -> Any:
        return self._edged(super().draw_polygon(*args, **style))

    def _edged(self, output: Any) -> Any:
        """Give the line that was drawn last a dark border, so that it is seen on any colour."""
        line = output.ax.patches[-1]
        border = _Border(linewidth=line.get_linewidth() + 1.5 * output.scale, foreground="black")
        line.set_path_effects([border, Normal()])
        return output

    def _jitter(self, color: Any) -> tuple[float, ...]:
        return tuple(color)

    def _change_color_brightness(self, color: Any, brightness_factor: float) -> Any:
        return color  # of labels and outlines


def drawable(record: dict[str, Any]) -> dict[str, Any]:
    """Return Detectron2's dict of an image as its visualizer draws it: with all masks or none."""
    things = record["annotations"]
    if all(thing.get("segmentation") for thing in things):
        return record
    bare = [{k: v for k, v in thing.items() if k != "segmentation"} for thing in things]
    return {**record, "annotations": bare}
