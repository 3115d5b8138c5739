"""Detectron2's checkpointer, made safe: nothing unpickled freely, written atomically, and a
backbone either loads completely or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from detectron2.checkpoint import DetectionCheckpointer

from robust_det.checkpoints.backbone_file import CARD_KEY, BackboneCard, card_of
from robust_det.checkpoints.io import load_checkpoint, save_checkpoint
from robust_det.checkpoints.pretrained import FORMAT
from robust_det.detection.backbones import bottom_up_prefix
from robust_det.errors import UserError
from robust_det.files import write_atomically

__all__ = ["RobustCheckpointer"]


class RobustCheckpointer(DetectionCheckpointer):
    """Reads backbone files and detector checkpoints; writes detector checkpoints.

    Args:
        model: the detector.
        save_dir: the run folder.
        card: of the backbone; travels in every checkpoint, so that it describes itself.
        checkpointables: see :class:`DetectionCheckpointer`.
    """

    def __init__(
        self,
        model: Any,
        save_dir: str = "",
        *,
        card: BackboneCard | None = None,
        **checkpointables: Any,
    ) -> None:
        super().__init__(model, save_dir, **checkpointables)
        self.card = card

    def save(self, name: str, **kwargs: Any) -> None:
        """Write ``name.pth`` atomically and tag it as the last checkpoint."""
        if not self.save_dir or not self.save_to_disk:
            return
        content: dict[str, Any] = {"model": self.model.state_dict()}
        for key, value in self.checkpointables.items():
            content[key] = value.state_dict()
        if self.card is not None:
            content[CARD_KEY] = self.card.plain()
        content.update(kwargs)
        save_checkpoint(Path(self.save_dir) / f"{name}.pth", content)
        self.tag_last_checkpoint(f"{name}.pth")

    def tag_last_checkpoint(self, last_filename_basename: str) -> None:
        """Name the newest checkpoint in ``last_checkpoint``, atomically."""
        path = Path(self.save_dir) / "last_checkpoint"
        write_atomically(path, lambda file: file.write(last_filename_basename.encode()))

    def _load_file(self, filename: str) -> dict[str, Any]:
        if not filename.endswith(".pth"):
            raise UserError(
                f"cannot load {filename}: only .pth files are read, since other formats could run"
                " code; convert it with tools/convert_backbone.py"
            )
        content = load_checkpoint(filename)
        if content.get("format") == FORMAT:
            raise UserError(
                f"{filename} is a classifier; convert it with tools/convert_backbone.py first"
            )
        if not isinstance(content.get("model"), dict):
            raise UserError(
                f"{filename} is neither a converted backbone nor a detector checkpoint;"
                " convert classifiers with tools/convert_backbone.py"
            )
        own = self.model.state_dict()
        if content.get("matching_heuristics") and card_of(content) is not None:
            content = self._as_backbone(content, own, filename)
        else:
            _refuse_other_model(content["model"], own, filename)
        return content

    def _as_backbone(
        self, content: dict[str, Any], own: dict[str, Any], filename: str
    ) -> dict[str, Any]:
        """Put a backbone's tensors where this detector keeps them, and check that all fit."""
        prefix = bottom_up_prefix(list(own))
        model = {prefix + name: tensor for name, tensor in content["model"].items()}
        expected = {
            name
            for name in own
            if name.startswith(prefix) and not name.endswith("num_batches_tracked")
            # a plain backbone has its own tensors only; FPN's are outside of bottom_up
        }
        missing = sorted(expected - set(model))
        # a detector may drop the last stages (C4) but not lack any tensor it has
        misfits = [n for n in expected & set(model) if own[n].shape != model[n].shape]
        if missing or misfits:
            first = (missing + sorted(misfits))[0]
            raise UserError(
                f"{filename} holds weights of another architecture: {len(missing)} tensors missing,"
                f" {len(misfits)} of another shape (first: {first})"
            )
        self.logger.info("Loaded %d tensors of the backbone from %s", len(expected), filename)
        return {"model": {name: model[name] for name in expected}}

    def _log_incompatible_keys(self, incompatible: Any) -> None:
        # a backbone file leaves the heads to their initialisation: what must fit was checked
        pass


def _refuse_other_model(model: dict[str, Any], own: dict[str, Any], filename: str) -> None:
    missing = sorted(set(own) - set(model))
    misfits = sorted(n for n in own if n in model and own[n].shape != model[n].shape)
    if missing or misfits:
        raise UserError(
            f"{filename} holds the weights of another detector: {len(missing)} tensors missing,"
            f" {len(misfits)} of another shape (first: {(missing + misfits)[0]})"
        )
