"""Which backbones began from the same weights, as the records beside their files say.

Networks that went on from one file, or were drawn by one seed, keep more in common than others, so
that a pair of such is no measure of a pair of others.
"""

from __future__ import annotations

from robust_det.core.errors import UserError
from robust_det.records import read_record
from robust_det.records.pretrain import PretrainRecord
from robust_det.visualization.networks import ShownBackbone

__all__ = ["beginning_of"]


def beginning_of(backbone: ShownBackbone) -> str:
    """Return what stands for the weights that a backbone's training began from.

    That is the hash of the file that it went on from, or the architecture and the seed of random
    weights; empty if no record of its pretraining lies beside its file.
    """
    try:
        record = read_record(backbone.file.path.absolute().parent, PretrainRecord)
    except UserError:
        return ""
    file = backbone.file
    if record.weights.sha256 not in (file.sha256, file.source_sha256):
        return ""
    if record.started_from is not None:
        return record.started_from.sha256
    return f"{record.arch}, seed {record.seed}"
