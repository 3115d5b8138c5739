"""Makes ``robust://NAME`` a path that Detectron2 understands wherever it takes one, from the import
of this module on."""

from __future__ import annotations

from typing import Any

from detectron2.utils.file_io import PathManager
from iopath.common.file_io import PathHandler

from robust_det.core.errors import UserError
from robust_det.zoo.locate import PREFIX, is_known, locate_backbone

__all__ = ["RobustPathHandler"]


class RobustPathHandler(PathHandler):
    """Resolves ``robust://NAME`` to the file of a converted backbone.

    Only opening it, or asking for its local path, downloads it.
    """

    def _get_supported_prefixes(self) -> list[str]:
        return [PREFIX]

    def _get_local_path(self, path: str, force: bool = False, **kwargs: Any) -> str:
        return str(locate_backbone(path))

    def _exists(self, path: str, **kwargs: Any) -> bool:
        return is_known(path)

    def _isfile(self, path: str, **kwargs: Any) -> bool:
        return is_known(path)

    def _open(self, path: str, mode: str = "r", buffering: int = -1, **kwargs: Any) -> Any:
        if mode not in ("r", "rb"):
            raise UserError(f"{path} is only for reading, not for mode '{mode}'")
        return open(locate_backbone(path), mode, buffering)


PathManager.register_handler(RobustPathHandler(), allow_override=True)
