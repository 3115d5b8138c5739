"""Starting from a trained detector: its weights, with rows that follow the names of classes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from detectron2.config import CfgNode
from torch import Tensor, nn

from robust_det.checkpoints.io import load_checkpoint
from robust_det.detection.categories import ClassNames
from robust_det.detection.checkpointer import refuse_misfits, resulting_weights
from robust_det.detection.datasets.class_matching import ABSENT, places_among
from robust_det.detection.provenance import class_names_in, iterations_in

__all__ = ["load_init_detector"]

_COUNTER = "num_batches_tracked"
# heads that a detector may have or not; one that it lacks is drawn anew
_PARTS = ("roi_heads.mask_head.", "roi_heads.keypoint_head.", "sem_seg_head.")
_SHOWN = 5


@dataclass(frozen=True)
class _Rows:
    """Which tensors have rows of classes, and how: ``[blocks, classes, each]``, then the rest.

    Attributes:
        names: pattern of the tensors' names.
        each: rows of a class, one after the other.
        rest: rows after those of all classes: that of the background.
        stuff: whether the classes are those of pixels.
    """

    names: str
    each: int = 1
    rest: int = 0
    stuff: bool = False


def _tensors_of_classes(cfg: CfgNode) -> list[_Rows]:
    heads = [
        _Rows(r"roi_heads\.box_predictor(\.\d+)?\.cls_score\.", rest=1),
        _Rows(r"head\.cls_score\."),  # of a RetinaNet: a block for each anchor of a place
        _Rows(r"sem_seg_head\.predictor\.", stuff=True),
    ]
    cascade = cfg.MODEL.ROI_HEADS.NAME == "CascadeROIHeads"  # whose boxes are of no class
    if not cascade and not cfg.MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG:
        heads.append(_Rows(r"roi_heads\.box_predictor\.bbox_pred\.", each=4))
    if not cfg.MODEL.ROI_MASK_HEAD.CLS_AGNOSTIC_MASK:
        heads.append(_Rows(r"roi_heads\.mask_head\.predictor\."))
    return heads


def load_init_detector(cfg: CfgNode, model: nn.Module, classes: ClassNames) -> str:
    """Put the weights of ``MODEL.INIT_DETECTOR`` into a new detector.

    What belongs to a class that the file knows by its name is taken from there, at whatever place
    it stands; what belongs to another class stays as it was drawn, and so does a head for masks,
    keypoints or pixels that the file does not have.

    Args:
        cfg: a complete config.
        model: the detector, on its device.
        classes: of it, in its order.

    Returns:
        What was taken, in a line.

    Raises:
        UserError: the tensors are not those of such a detector.
    """
    path = cfg.MODEL.INIT_DETECTOR
    content = load_checkpoint(path, leave_out=["rest"])
    values: dict[str, Tensor] = resulting_weights(content)
    then = class_names_in(content, path)
    own = model.state_dict()
    said = []
    for part in _PARTS:
        ours, theirs = (any(name.startswith(part) for name in names) for names in (own, values))
        if ours and not theirs:
            values |= {name: own[name] for name in own if name.startswith(part)}
            said.append(f"its {part[:-1]} is drawn anew, as the file has none")
        elif theirs and not ours:
            values = {name: values[name] for name in values if not name.startswith(part)}
            said.append(f"the file's {part[:-1]} is left out")
    anew = 0
    for rows in _tensors_of_classes(cfg):
        new, old = (names.stuff if rows.stuff else names.objects for names in (classes, then))
        if new == old:
            continue
        for name in own:
            if re.match(rows.names, name) and name in values:
                moved = _moved(values[name].to(own[name]), own[name], new, old, rows)
                anew += moved is not None
                values[name] = values[name] if moved is None else moved
    refuse_misfits(values, own, f"{path} holds the weights of another detector than this config's")
    counters = {name: own[name] for name in own if name.endswith(_COUNTER)}
    model.load_state_dict({**counters, **{n: v for n, v in values.items() if n in own}})
    for new, old, kind in (
        (classes.objects, then.objects, "classes"),
        (classes.stuff, then.stuff, "classes of pixels"),
    ):
        if anew and new != old:
            said.append(_said(new, old, kind, anew))
    done = iterations_in(content)
    after = "" if done is None else f" after {done} iterations"
    return f"starting from {path}{after}: {'; '.join(said) or 'all its weights are kept'}"


def _moved(
    old: Tensor, new: Tensor, classes: Sequence[str], others: Sequence[str], rows: _Rows
) -> Tensor | None:
    """Return a new detector's tensor with the rows of those classes that another one has.

    None if the tensor is of no detector of these classes.
    """
    if not others:  # a file that does not name its classes
        return new
    ours, theirs = (tensor.shape[0] - rows.rest for tensor in (new, old))
    blocks, left = divmod(ours, len(classes) * rows.each)
    fits = not left and theirs == blocks * len(others) * rows.each
    if not fits or new.shape[1:] != old.shape[1:]:
        return None
    out = new.clone()
    places = places_among(classes, others)
    here = [place for place, other in enumerate(places) if other != ABSENT]
    there = [other for other in places if other != ABSENT]
    view = out[:ours].view(blocks, len(classes), rows.each, *new.shape[1:])
    source = old[:theirs].reshape(blocks, len(others), rows.each, *old.shape[1:])
    with torch.no_grad():
        view[:, here] = source[:, there]
        if rows.rest:
            out[-rows.rest :] = old[-rows.rest :]
    return out


def _said(new: Sequence[str], old: Sequence[str], kind: str, tensors: int) -> str:
    """Say which classes keep their weights, and which are drawn anew."""
    if not old:
        return f"it does not name its {kind}, whose rows in {tensors} tensors are drawn anew"
    places = places_among(new, old)
    kept = [name for name, place in zip(new, places, strict=True) if place != ABSENT]
    drawn = [name for name, place in zip(new, places, strict=True) if place == ABSENT]
    if not drawn:
        return f"all {len(new)} {kind} keep their weights, by their names"
    return (
        f"of {len(new)} {kind} {len(kept)} keep their weights{_listed(kept)}, and {len(drawn)} are"
        f" drawn anew{_listed(drawn)}, in {tensors} tensors of the heads"
    )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f" ({', '.join(names[:_SHOWN])}{more})" if names else ""
