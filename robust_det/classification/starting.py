"""A run that starts from the weights of another one, not from random ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from robust_det.checkpoints.model import Model
from robust_det.checkpoints.model_file import NetworkFile
from robust_det.checkpoints.state_dicts import load_state
from robust_det.classification.class_order import class_indices
from robust_det.core.config.reading import CfgNode
from robust_det.core.errors import UserError
from robust_det.core.files import sha256_file
from robust_det.models import Classifier, get_architecture
from robust_det.models.spelling import COUNTER

__all__ = ["Start", "read_start"]


@dataclass(frozen=True)
class Start:
    """The weights that a run starts from.

    Attributes:
        path, sha256: of their file.
        model: what was read.
    """

    path: str
    sha256: str
    model: Model

    def load(
        self, classifier: Classifier, classes: Sequence[str], *, new_head: bool = False
    ) -> str:
        """Put the weights into a classifier of those classes.

        The last layer keeps its random weights where the classes are others; rows follow the names.

        Args:
            classifier: gets the weights.
            classes: names of its logits.
            new_head: let its last layer keep them whatever the classes are.

        Returns:
            What was done with the head, in a sentence.
        """
        own = classifier.body.state_dict()
        state = {name: own[name] for name in own if COUNTER in name} | dict(self.model.state)
        head = get_architecture(self.model.arch).head
        tensors = [name for name in own if name.startswith(f"{head}.")]
        rows, said = self._rows(classes) if not new_head else (None, _new_head(classes))
        for name in tensors:
            state[name] = own[name] if rows is None else state[name][rows]
        # what a file without a head lacks of a head of several layers
        for name in own.keys() - state.keys():
            if get_architecture(self.model.arch).in_head(name):
                state[name] = own[name]
        load_state(classifier.body, state, self.path)
        return said

    def _rows(self, classes: Sequence[str]) -> tuple[torch.Tensor | None, str]:
        """Return which row of the file's head is each class's; None for a new head."""
        model, count = self.model, len(classes)
        if not model.num_classes:
            return None, f"the file has no head; {_new_head(classes, 'that')}"
        other = f"{_new_head(classes)}: the file's has {model.num_classes} classes"
        if model.num_classes != count:
            return None, other
        try:
            rows = class_indices(classes, model, "DATA.ROOT")
        except UserError:
            return None, f"{other} of other names"
        if len(set(rows)) < count:
            return None, f"{other} of other names"
        if not model.classes and count != 1000:
            return torch.tensor(rows), "its head, whose classes the file does not name, is kept"
        moved = rows != list(range(count))
        return torch.tensor(rows), "its head is kept" + (", in the data's order" if moved else "")


def _new_head(classes: Sequence[str], what: str = "the head") -> str:
    return f"{what} of {len(classes)} classes is new"


def read_start(cfg: CfgNode, weights: NetworkFile) -> Start:
    """Read the weights that a run of this config shall start from.

    Raises:
        FileError: no network can be read from the file.
        UserError: no such file, or one of another architecture or normalisation than the config's.
    """
    path, model = weights.path, weights.read()
    if model.arch != cfg.MODEL.ARCH:
        raise UserError(
            f"{path} holds a {model.arch}, the config asks for {cfg.MODEL.ARCH}; set MODEL.ARCH"
            f" {model.arch} or start from another file"
        )
    for key, known, asked in (
        ("MODEL.MEAN", model.mean, cfg.MODEL.MEAN),
        ("MODEL.STD", model.std, cfg.MODEL.STD),
    ):
        if not model.assumed and any(abs(a - b) > 1e-4 for a, b in zip(known, asked, strict=True)):
            listed = ", ".join(f"{value:g}" for value in known)
            raise UserError(
                f"{path} was trained with another normalisation than {key} {list(asked)}; set"
                f' {key} "[{listed}]"'
            )
    return Start(str(path), sha256_file(path), model)
