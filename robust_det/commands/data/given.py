"""What a command that writes data is given: a file, a folder, or a config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from robust_det.core.config.reading import find_config, load_raw
from robust_det.core.errors import UserError
from robust_det.data.detection.entries import parse_entry
from robust_det.data.detection.layouts import recognise
from robust_det.data.detection.readers.panoptic_json import PanopticSource
from robust_det.data.detection.source import Source

__all__ = ["GivenData", "given_data"]


@dataclass(frozen=True)
class GivenData:
    """Data sets.

    Attributes:
        form: what they are in.
        sources: by role, or of a config by name: the name, and where it is.
        train: of these, what a config or a layout has to train on.
    """

    form: str
    sources: Mapping[str, tuple[str, Source]]
    train: tuple[str, ...]


def given_data(text: str) -> GivenData:
    """Return the data sets that an argument means; what was chosen is printed.

    Raises:
        UserError: it means none.
    """
    if Path(text).suffix.lower() in (".yaml", ".yml") and _is_config(find_config(text)):
        return _of_config(text)
    layout = recognise(text)
    for note in layout.notes:
        print(f"note: {note}")
    sources = {role: parse_entry(entry) for role, entry in layout.entries.items()}
    train = tuple(role for role in sources if role in ("train", "all"))
    _check(sources)
    return GivenData(layout.form, sources, train)


def _is_config(path: Path) -> bool:
    return isinstance(load_raw(path).get("DATASETS"), Mapping)


def _of_config(text: str) -> GivenData:
    import robust_det.detection  # noqa: F401
    from robust_det.detection.config import sources_of_config

    train = load_raw(find_config(text))["DATASETS"].get("TRAIN", ())
    sources = {name: (name, source) for name, source in sources_of_config(text).items()}
    _check(sources)
    return GivenData(f"config {text}", sources, tuple(train))


def _check(sources: Mapping[str, tuple[str, Source]]) -> None:
    for name, source in sources.values():
        if isinstance(source, PanopticSource):
            raise UserError(
                f"data set '{name}' is in COCO's panoptic format, whose segments COCO JSON of"
                " objects cannot hold; its objects' JSON is COCO already"
            )
