"""Detectron2's checkpointer, made safe: nothing unpickled freely, written atomically, and a
backbone either loads completely or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detectron2.checkpoint import DetectionCheckpointer
from msgspec.structs import replace

from robust_det.backbones.builders import bottom_up_prefix
from robust_det.backbones.norms import leave_out_statistics
from robust_det.checkpoints.backbone_file import CARD_KEY, BackboneCard, card_of
from robust_det.checkpoints.io import load_checkpoint, save_checkpoint
from robust_det.checkpoints.pretrained import FORMAT
from robust_det.core.errors import UserError
from robust_det.core.files import write_atomically
from robust_det.detection.categories import CATEGORIES_KEY, categories_in
from robust_det.detection.provenance import (
    PROVENANCE_KEY,
    Provenance,
    changes_since,
    iterations_in,
    provenance_in,
)
from robust_det.models.spelling import spelling
from robust_det.models.stages import tensor_stages
from robust_det.records.base import Change

__all__ = ["FINAL", "RobustCheckpointer", "is_backbone", "refuse_misfits", "resulting_weights"]

FINAL = "model_final.pth"

# a detector without FPN (C4) has res5 in its head
_HEADS = "roi_heads."
_RES5 = _HEADS + "res5."
# which no backbone has
_EXTRA_NORM = _RES5 + "norm."


class RobustCheckpointer(DetectionCheckpointer):
    """Reads backbone files and detector checkpoints; writes detector checkpoints.

    Args:
        model: the detector.
        save_dir: the run folder.
        card: of the backbone; travels in every checkpoint, so that it describes itself.
        categories: the classes, see :mod:`~.categories`; travel as well.
        provenance: what the detector is trained by; travels as well, with what changed since the
            file that is gone on from, and before that.
        checkpointables: see :class:`DetectionCheckpointer`.

    Attributes:
        changed: what is otherwise since the file that was loaded.
    """

    def __init__(
        self,
        model: Any,
        save_dir: str = "",
        *,
        card: BackboneCard | None = None,
        categories: Sequence[Mapping[str, Any]] = (),
        provenance: Provenance | None = None,
        **checkpointables: Any,
    ) -> None:
        super().__init__(model, save_dir, **checkpointables)
        self.card = card
        self.categories = categories
        self.provenance = provenance
        self.changed = list[Change]()

    def save(self, name: str, **kwargs: Any) -> None:
        """Write ``name.pth`` atomically and tag it as the last checkpoint."""
        if self.save_beside(name, **kwargs):
            self.tag_last_checkpoint(f"{name}.pth")

    def save_beside(self, name: str, **kwargs: Any) -> bool:
        """Write ``name.pth`` atomically, but let a run resume from another one.

        Returns:
            Whether this process is one that writes.
        """
        if not self.save_dir or not self.save_to_disk:
            return False
        content: dict[str, Any] = {"model": self.model.state_dict()}
        for key, value in self.checkpointables.items():
            content[key] = value.state_dict()
        if self.card is not None:
            content[CARD_KEY] = self.card.plain()
        if self.categories:
            content[CATEGORIES_KEY] = list(self.categories)
        if self.provenance is not None:
            content[PROVENANCE_KEY] = self.provenance.plain()
        content.update(kwargs)
        save_checkpoint(Path(self.save_dir) / f"{name}.pth", content)
        return True

    def tag_last_checkpoint(self, last_filename_basename: str) -> None:
        """Name the newest checkpoint in ``last_checkpoint``, atomically."""
        path = Path(self.save_dir) / "last_checkpoint"
        write_atomically(path, lambda file: file.write(last_filename_basename.encode()))

    def _load_file(self, filename: str) -> dict[str, Any]:
        """Read a file that may be loaded, with the names of this detector's tensors.

        Raises:
            UserError: another format, unsafe, damaged, or not of this architecture.
        """
        if not filename.endswith(".pth"):
            raise UserError(
                f"cannot load {filename}: only .pth files are read, since other formats could run"
                " code; convert it with robust-det convert"
            )
        content = load_checkpoint(filename, leave_out=["rest"])
        if content.get("format") == FORMAT:
            raise UserError(f"{filename} is a classifier; convert it with robust-det convert first")
        if not isinstance(content.get("model"), dict):
            raise UserError(
                f"{filename} is neither a converted backbone nor a detector checkpoint;"
                " convert classifiers with robust-det convert"
            )
        own = self.model.state_dict()
        if is_backbone(content):
            return self._as_backbone(content, own, filename)
        refuse_misfits(content["model"], own, f"{filename} holds the weights of another detector")
        if "average" not in self.checkpointables:  # it is evaluated, not gone on with
            content["model"] = resulting_weights(content)
        made_from = card_of(content, filename)
        if self.card and made_from and made_from.source_sha256 != self.card.source_sha256:
            raise UserError(
                f"{filename} was fine-tuned from another backbone than MODEL.WEIGHTS is now;"
                " put the old one back, or start anew in another OUTPUT_DIR"
            )
        self._refuse_other_classes(content, filename)
        before = provenance_in(content, filename)
        if self.provenance is not None and before is not None:
            self._refuse_other_start(before, filename)
            self.changed = changes_since(before, self.provenance, iterations_in(content) or 0)
            self.provenance = replace(self.provenance, changes=[*before.changes, *self.changed])
        return content

    def _refuse_other_start(self, before: Provenance, filename: str) -> None:
        """Refuse to go on with a run that started from another detector."""
        now = self.provenance.init_detector if self.provenance else None
        then = before.init_detector
        if (now and now.sha256) != (then and then.sha256):
            raise UserError(
                f"{filename} is of a run that started from another detector than"
                " MODEL.INIT_DETECTOR is now; put the old one back, or start anew in another"
                " OUTPUT_DIR"
            )

    def _refuse_other_classes(self, content: Mapping[str, Any], filename: str) -> None:
        """Refuse to go on with heads whose classes have other names now, or another order."""
        now = [category["name"] for category in self.categories]
        then = [category["name"] for category in categories_in(content, filename)]
        if now and then and now != then:
            place = next(
                (n for n, (a, b) in enumerate(zip(now, then, strict=False)) if a != b),
                min(len(now), len(then)),
            )
            was, is_now = (names[place : place + 1] or ["none"] for names in (then, now))
            raise UserError(
                f"{filename} was trained for other classes than the data have now: class"
                f" {place + 1} was '{was[0]}' and is '{is_now[0]}'; put the data back, or start"
                " anew in another OUTPUT_DIR"
            )

    def _as_backbone(
        self, content: dict[str, Any], own: dict[str, Any], filename: str
    ) -> dict[str, Any]:
        """Put a backbone's tensors where this detector keeps them, and check that all fit."""
        prefix = bottom_up_prefix(list(own))
        expected = {
            n: t
            for n, t in own.items()
            if n.startswith((prefix, _RES5)) and not n.startswith(_EXTRA_NORM)
        }
        places = _places(content[CARD_KEY]["arch"], prefix, expected)
        # a stage that this detector does not have at all is no loss; a part of one is
        model = {
            place: tensor
            for name, tensor in content["model"].items()
            if (place := places.get(name, prefix + name))
        }
        model = leave_out_statistics(model, expected)
        refuse_misfits(model, expected, f"{filename} holds weights of another architecture")
        self.logger.info("Loaded %d tensors of the backbone from %s", len(model), filename)
        return {"model": model}

    def get_checkpoint_file(self) -> str:
        """Return the newest checkpoint of the run folder, or an empty string.

        Raises:
            UserError: it was removed.
        """
        path = super().get_checkpoint_file()
        if path and not Path(path).is_file():
            raise UserError(
                f"last_checkpoint names {path}, which is not there; put it back, or start anew in"
                " another OUTPUT_DIR"
            )
        return path

    def _log_incompatible_keys(self, incompatible: Any) -> None:
        # a backbone file leaves the heads to their initialisation: what must fit was checked
        pass


def resulting_weights(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the weights that are a detector's result: with the averaged ones, if there are any."""
    return {**content["model"], **content.get("average", {}).get("values", {})}


def is_backbone(content: Mapping[str, Any]) -> bool:
    """Whether a loaded file is a converted backbone, not a detector."""
    return bool(content.get("matching_heuristics")) and card_of(content) is not None


def _places(arch: str, prefix: str, own: Mapping[str, Any]) -> dict[str, str]:
    """Return the names of a backbone's tensors in a detector; empty where it lacks their stage."""
    spelled, stages = spelling(arch, "detectron2").names, tensor_stages(arch)
    places: dict[str, str] = {}
    for stage in set(stages.values()):
        names = [spelled[name] for name in stages if stages[name] == stage]
        # the names of a ResNet begin with their stage, those of other networks do not
        befores = [b for b in (prefix, _HEADS, _RES5) if any(b + name in own for name in names)]
        places |= {name: befores[0] + name if befores else "" for name in names}
    return places


def refuse_misfits(model: Mapping[str, Any], own: Mapping[str, Any], problem: str) -> None:
    """Refuse tensors that are not those of a detector, by their names and shapes.

    Args:
        model: the tensors.
        own: those of the detector.
        problem: what a misfit means.

    Raises:
        UserError: with how many differ.
    """
    # a counter that batch norm has in training only
    own = {n: t for n, t in own.items() if not n.endswith("num_batches_tracked")}
    shapes = {
        name: getattr(value, "shape", None)
        for name, value in model.items()
        if not name.endswith("num_batches_tracked")
    }
    missing, extra = sorted(set(own) - set(shapes)), sorted(set(shapes) - set(own))
    misfits = sorted(n for n in own if n in shapes and own[n].shape != shapes[n])
    if missing or extra or misfits:
        raise UserError(
            f"{problem}: {len(missing)} tensors missing, {len(extra)} unexpected,"
            f" {len(misfits)} of another shape (first: {(missing + extra + misfits)[0]})"
        )
