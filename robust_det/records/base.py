"""What the records of all kinds have in common."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Annotated, Any, Final, Literal

import msgspec

from robust_det.records.environment import Environment

__all__ = ["SCHEMA", "Change", "File", "Part", "Record", "Weights", "as_json"]

SCHEMA: Final = 2


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """A group of fields in a record; those that have their default are not written.

    No record is part of a cycle, so that the collection of garbage need not look through them.
    """


class File(Part, frozen=True):
    """A file that a run used or left.

    Attributes:
        path: as it was used; of what a run left and analysis reads, relative to the run's folder.
        sha256: 64 hexadecimal digits; empty for a file that was not there to be hashed.
    """

    path: str
    sha256: str


class Weights(File, frozen=True):
    """The weights of a classifier, or those a detector started from.

    Attributes:
        source_sha256: of the checkpoint that a backbone was converted from, if it is known.
    """

    source_sha256: str = ""

    @property
    def origin(self) -> str:
        """The hash of what was trained: two conversions of one checkpoint are one pretraining."""
        return self.source_sha256 or self.sha256


class Change(Part, frozen=True):
    """A key of a run's config that was changed when the run went on.

    Attributes:
        step: how many steps had been done.
        key: dotted.
        before, after: its values.
    """

    step: int
    key: str
    before: Any
    after: Any


# read when it is asked for: it is half of a record, and comparison has no use for it
_Config = Annotated[msgspec.Raw, msgspec.Meta(extra_json_schema={"type": "object"})]


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """What was run, on what, and what came out.

    A field that is not declared is refused, as it might be what makes two runs incomparable; a new
    one goes with a new ``SCHEMA`` and a step in :mod:`.upgrade`.

    Attributes:
        schema: version of the layout.
        name: of the run.
        arch: registry name.
        norm, eps: threat model of the pretraining; eps in [0, 1] pixel units, 0 is standard. Of
            unknown weights eps is None and norm empty.
        weights: that came out of a pretraining, or that a fine-tuning started from.
        seed: of the run.
        raw_config: the complete config, as JSON; see :attr:`config`.
        environment: versions, commit, device.
        wall_time_s: seconds, over all sessions.
        changes: of the config, in the order in which they were made; the config is as it was last.
    """

    name: str
    arch: str
    norm: str
    eps: Annotated[float, msgspec.Meta(ge=0)] | None
    weights: Weights
    seed: int
    raw_config: _Config = msgspec.field(name="config")
    environment: Environment
    wall_time_s: float
    changes: list[Change] = []
    schema: Literal[2] = SCHEMA

    def __post_init__(self) -> None:
        if memoryview(self.raw_config)[0] != ord("{"):
            raise ValueError("field 'config' is not an object")

    @classmethod
    def kind(cls) -> str:
        """What the records of this class are called."""
        return str(cls.__struct_config__.tag)

    @property
    def config(self) -> dict[str, Any]:
        """The complete config of the run."""
        found: dict[str, Any] = msgspec.json.decode(self.raw_config)
        return found

    @property
    def images_name(self) -> str:
        """What the folder or file of ``DATA.ROOT`` is called; empty if the config does not say."""
        try:
            return PurePath(_ROOT_ALONE.decode(self.raw_config).DATA.ROOT).name
        except ValueError:  # a config of other types than ours
            return ""


def as_json(config: Mapping[str, Any]) -> msgspec.Raw:
    """Return a config of plain values as a record keeps it."""
    return msgspec.Raw(msgspec.json.encode(config, order="sorted"))


class _Data(msgspec.Struct):
    ROOT: str = ""


class _OnlyRoot(msgspec.Struct):
    """One key: all of a config takes as long to decode as the rest of a record."""

    DATA: _Data = msgspec.field(default_factory=_Data)


_ROOT_ALONE = msgspec.json.Decoder(_OnlyRoot)
