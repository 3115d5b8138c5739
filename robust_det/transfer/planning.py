"""What can be said of transfers before they run: mistakes, and which are finished."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from robust_det.checkpoints.model import Model
from robust_det.checkpoints.model_file import NetworkFile
from robust_det.core.config.reading import CfgNode
from robust_det.core.files import sha256_file
from robust_det.data.transfer.manifest import read_manifest
from robust_det.data.transfer.sets.reading import read_set
from robust_det.records import RECORD_NAME
from robust_det.transfer.resolve import resolved
from robust_det.transfer.run import finished_record
from robust_det.transfer.sets import TransferSet, open_set, refuse_other_images
from robust_det.transfer.settings import explain, given_backbone

__all__ = ["TransferCheck"]


class TransferCheck:
    """Reads what many runs are given, and does nothing; each backbone and set is read once.

    Args:
        locate: returns the file of a backbone that was given by its name or by that file.
    """

    def __init__(self, locate: Callable[[str], Path]) -> None:
        self._locate = locate
        self._backbones: dict[Path, tuple[Model, str]] = {}
        self._sets: set[tuple[str, str, str]] = set()
        self._opened_sets: dict[tuple[str, str, str, bool], TransferSet] = {}

    def __call__(
        self, config: str, overrides: Sequence[str], backbone: str | None = None
    ) -> tuple[int, bool]:
        """Read config, backbone and list of images of a run.

        Args:
            config: file, or its name.
            overrides: ``KEY VALUE`` pairs.
            backbone: in place of the config's.

        Returns:
            1, as a run on features has no iterations to count by, and whether the folder holds
            the run finished.

        Raises:
            UserError: config, backbone or data are wrong, or the folder holds another run.
        """
        options = ["TRANSFER.BACKBONE", backbone] if backbone else []
        cfg, _ = explain(config, overrides, options)
        path = self._locate(given_backbone(cfg))
        if path not in self._backbones:
            # without the tensors, of which there may be many
            model = replace(NetworkFile(path).read(), state={})
            self._backbones[path] = model, sha256_file(path)
        model, sha256 = self._backbones[path]
        cfg, _ = resolved(cfg, model, str(path))
        self._list(cfg)
        folder = Path(cfg.OUTPUT_DIR)
        if not (folder / RECORD_NAME).exists():
            return 1, False
        record = finished_record(folder, cfg, sha256)
        if any(record.config["DATA"][key] != cfg.DATA[key] for key in ("ROOT", "MANIFEST")):
            refuse_other_images(record.data.manifest, self._opened(cfg), folder)
        return 1, True

    def _opened(self, cfg: CfgNode) -> TransferSet:
        """Read the images that take the place of a finished run's."""
        which = (*self._which(cfg), bool(cfg.PAPER.FIRST_FILES))
        if which not in self._opened_sets:
            self._opened_sets[which] = open_set(cfg)
        return self._opened_sets[which]

    @staticmethod
    def _which(cfg: CfgNode) -> tuple[str, str, str]:
        return cfg.DATA.SET, cfg.DATA.ROOT, cfg.DATA.MANIFEST

    def _list(self, cfg: CfgNode) -> None:
        which = self._which(cfg)
        if which in self._sets:
            return
        if cfg.DATA.MANIFEST:
            read_manifest(cfg.DATA.MANIFEST)
        else:
            read_set(cfg.DATA.SET, cfg.DATA.ROOT)
        self._sets.add(which)
