"""Which column of a table is what, by the names that tools give them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from robust_det.core.errors import UserError

__all__ = ["CENTRE", "CORNERS", "SIDES", "Columns", "find_columns"]

# the likelier first; compared without case and anything but letters and digits
_IMAGE = ("filename", "file", "filepath", "imagename", "imagefile", "imagefilename", "imagepath",
          "imgname", "imgpath", "path", "image", "img", "imageid", "imgid")  # fmt: skip
_CLASS = ("classname", "labelname", "categoryname", "class", "label", "category", "objectclass",
          "objectname", "name", "object", "classid", "labelid", "categoryid")  # fmt: skip
_SPLIT = ("split", "set", "subset", "partition")
_CROWD = ("isgroupof", "iscrowd", "crowd")
_DIFFICULT = ("difficult", "isdifficult")
_TURN = ("angle", "rotation", "theta")
_IMAGE_SIZE = (("imagewidth", "imageheight"), ("imgwidth", "imgheight"), ("imgw", "imgh"),
               ("width", "height"))  # fmt: skip
_CORNERS = (
    ("xmin", "ymin", "xmax", "ymax"),
    ("minx", "miny", "maxx", "maxy"),
    ("x1", "y1", "x2", "y2"),
    ("x0", "y0", "x1", "y1"),
    ("left", "top", "right", "bottom"),
    ("xtl", "ytl", "xbr", "ybr"),
    ("startx", "starty", "endx", "endy"),
)
_CENTRES = (("xcenter", "ycenter"), ("centerx", "centery"), ("xcentre", "ycentre"), ("cx", "cy"),
            ("xc", "yc"))  # fmt: skip
_STARTS = (("x", "y"), ("xmin", "ymin"), ("left", "top"), ("x1", "y1"), ("topx", "topy"))
_SIDES = (("w", "h"), ("width", "height"), ("boxwidth", "boxheight"))
_BOX = ("bbox", "box", "boundingbox")
_PREFIX = re.compile(r"^(?:bbox|box|boundingbox|bb)(?=[a-z])")

CORNERS, SIDES, CENTRE = "corners", "sides", "centre"


@dataclass(frozen=True)
class Columns:
    """Columns by their places in a row; -1 for what is not there.

    Attributes:
        image, label: the image's file and the class.
        box: the four numbers, or the one that has them all.
        form: what they are: ``corners`` (left, top, right, bottom), ``sides`` (left, top, width,
            height) or ``centre`` (its middle, width, height).
        size: width and height of the image.
        crowd, difficult, split: marks, and the part that the image belongs to.
        others: names of those that are not read.
    """

    image: int
    label: int
    box: tuple[int, ...]
    form: str
    size: tuple[int, ...]
    crowd: int
    difficult: int
    split: int
    others: tuple[str, ...]


def find_columns(header: Sequence[str], where: str) -> Columns:
    """Tell the columns of a table by its header.

    Args:
        header: the names.
        where: the file, which begins messages.

    Raises:
        UserError: there is no column of images or boxes, or two have one name.
    """
    keys = [re.sub(r"[^a-z0-9]", "", name.lower()) for name in header]
    known = {key for key in keys if key}
    for key in known:
        if keys.count(key) > 1:
            raise UserError(f"{where} names {keys.count(key)} columns '{key}'; leave one of them")
    # bbox_x1 is x1, unless there is an x1 as well
    plain = [k if (k := _PREFIX.sub("", key)) == key or k not in known else key for key in keys]
    places = {key: place for place, key in reversed([*enumerate(plain)]) if key}
    for key in _TURN:
        if key in places:
            raise UserError(
                f"{where} has a column {header[places[key]]}: turned boxes are not read; give"
                " upright ones, and leave the column out"
            )
    one = {key: place for place, key in enumerate(keys)}
    box, form = _box(places, one)
    if not box:
        raise UserError(
            f"{where} has no columns of boxes, such as xmin, ymin, xmax, ymax or x, y, width,"
            f" height; it names {', '.join(header)[:200]}"
        )
    image = _first(places, _IMAGE)
    if image < 0:
        raise UserError(
            f"{where} has no column of images, such as filename or image; it names"
            f" {', '.join(header)[:200]}"
        )
    left = {key: place for key, place in places.items() if place not in (*box, image)}
    size = next(((left[w], left[h]) for w, h in _IMAGE_SIZE if w in left and h in left), ())
    label = _first(left, _CLASS)
    crowd, difficult, split = (_first(left, n) for n in (_CROWD, _DIFFICULT, _SPLIT))
    read = {image, label, crowd, difficult, split, *box, *size}
    others = tuple(name or "one without a name" for n, name in enumerate(header) if n not in read)
    return Columns(image, label, box, form, size, crowd, difficult, split, others)


def _first(places: dict[str, int], names: Sequence[str]) -> int:
    return next((places[name] for name in names if name in places), -1)


def _box(places: dict[str, int], whole: dict[str, int]) -> tuple[tuple[int, ...], str]:
    for names in _CORNERS:
        if all(name in places for name in names):
            return tuple(places[name] for name in names), CORNERS
    for form, starts in ((CENTRE, _CENTRES), (SIDES, _STARTS)):
        for start in starts:
            for sides in _SIDES:
                if all(name in places for name in (*start, *sides)):
                    return tuple(places[name] for name in (*start, *sides)), form
    single = _first(whole, _BOX)
    return ((single,), SIDES) if single >= 0 else ((), "")
