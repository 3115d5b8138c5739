"""How backbones were pretrained, where records of that are among those read."""

from __future__ import annotations

from collections.abc import Iterable

from robust_det.analysis.differences import as_key
from robust_det.analysis.pretraining_keys import training_keys
from robust_det.analysis.trainings.grouping import training_words
from robust_det.records import Record
from robust_det.records.pretrain import PretrainRecord

__all__ = ["Ways"]

_UNKNOWN = "no record of its pretraining"


class Ways:
    """The ways of pretraining of backbones that are of one architecture, norm and eps.

    PGD and TRADES at one eps leave two kinds of backbones: a mean over both is of neither.

    Args:
        records: of any kind; those of pretraining count, of backbones that others are of.
    """

    def __init__(self, records: Iterable[Record]) -> None:
        records = list(records)
        others = (one for one in records if not isinstance(one, PretrainRecord))
        used = {one.weights.origin for one in others} - {""}
        runs, settings = dict[bytes, PretrainRecord](), dict[bytes, dict[str, object]]()
        self._key_of: dict[str, bytes] = {}
        known: dict[tuple[object, ...], set[bytes]] = {}
        for record in records:
            if not isinstance(record, PretrainRecord) or record.weights.sha256 not in used:
                continue
            alike = (record.arch, record.norm if record.eps else "", record.eps)
            setting = training_keys(record)
            key = as_key([*alike, setting])
            runs.setdefault(key, record)
            settings[key] = setting
            self._key_of.setdefault(record.weights.sha256, key)
            known.setdefault(alike, set()).add(key)
        words = training_words(runs, settings)
        several = set().union(*(keys for keys in known.values() if len(keys) > 1))
        self._words = {key: words[key] if key in several else "" for key in runs}

    def of(self, record: Record) -> bytes:
        """Return what tells the way of the backbone of a run from others; empty if no record says
        it, or the run is a pretraining itself, whose setting has it all."""
        if isinstance(record, PretrainRecord):
            return b""
        return self._key_of.get(record.weights.origin, b"")

    def words(self, way: bytes, beside: Iterable[bytes]) -> str:
        """Return what a reader has to know of a way; empty where there is no other one.

        Args:
            way: of :meth:`of`.
            beside: those of backbones that are alike but for it.
        """
        if way:
            return self._words[way]
        return _UNKNOWN if any(beside) else ""
