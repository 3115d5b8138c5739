"""The class scores of all boxes that a detector considers, differentiable, and which of them a
detection is.

A detection is one row of what the heads compute, chosen by threshold and suppression. Its class's
logit in that row, before softmax or sigmoid, is what is explained; to sum over detections, or to
take the network's whole output, gives one map for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from detectron2.modeling.meta_arch.rcnn import GeneralizedRCNN
from detectron2.modeling.meta_arch.retinanet import RetinaNet, permute_to_N_HWA_K
from detectron2.modeling.roi_heads import CascadeROIHeads, Res5ROIHeads, StandardROIHeads
from detectron2.structures import ImageList

from robust_det.core.errors import UserError

__all__ = ["BoxScores", "box_scores"]

_SAME = 1e-3  # of scores and, in pixels, of boxes, which two passes may round differently


@dataclass(frozen=True)
class BoxScores:
    """What the heads compute of one image.

    Attributes:
        logits: (M, K) of the classes, differentiable.
        scores: (M, K) probabilities, detached.
        boxes: (M, K, 4) corners in pixels, within the image, detached; or (M, 1, 4) of all classes.
    """

    logits: torch.Tensor
    scores: torch.Tensor
    boxes: torch.Tensor

    def row_of(self, box: torch.Tensor, label: int, score: float) -> int:
        """Return which row a detection is.

        Args:
            box: (4,) its corners.
            label, score: its class and score.

        Raises:
            RuntimeError: none is.
        """
        boxes = self.boxes[:, label if self.boxes.shape[1] > 1 else 0]
        far = (boxes - box).abs().amax(1)
        off = (self.scores[:, label] - score).abs()
        row = int((far + off).argmin())
        if not (
            float(far[row]) < _SAME * max(float(box.abs().max()), 1) and float(off[row]) < _SAME
        ):
            raise RuntimeError(
                f"no row of the heads is the detection of class {label} at {box.tolist()}: the"
                f" nearest is {float(far[row]):g} pixels and {float(off[row]):g} of score away"
            )
        return row


def box_scores(model: Any, images: ImageList, features: Mapping[str, torch.Tensor]) -> BoxScores:
    """Return the scores of all boxes of an image.

    Args:
        model: Fast, Faster, Mask or Cascade R-CNN, with or without a pyramid, or RetinaNet, in
            evaluation mode.
        images: one, as the model takes it.
        features: of its backbone by name, that the scores shall be differentiable in.

    Raises:
        UserError: the model is another.
    """
    if isinstance(model, RetinaNet):
        return _retinanet(model, images, features)
    if isinstance(model, GeneralizedRCNN):
        # what RPN chooses has no gradient
        with torch.no_grad():
            proposals, _ = model.proposal_generator(images, features, None)
        heads: Any = model.roi_heads
        if isinstance(heads, CascadeROIHeads):
            return _cascade(heads, features, proposals)
        if isinstance(heads, (Res5ROIHeads, StandardROIHeads)):
            return _one_head(heads, features, proposals)
    kind = type(getattr(model, "roi_heads", model)).__name__
    raise UserError(
        f"boxes of a {kind} cannot be explained; those of R-CNN heads, cascades, C4 and RetinaNet"
        " can"
    )


def _one_head(heads: Any, features: Mapping[str, torch.Tensor], proposals: list[Any]) -> BoxScores:
    boxes = [each.proposal_boxes for each in proposals]
    if isinstance(heads, Res5ROIHeads):
        given = [features[name] for name in heads.in_features]
        pooled = heads.res5(heads.pooler(given, boxes)).mean(dim=[2, 3])
    else:
        given = [features[name] for name in heads.box_in_features]
        pooled = heads.box_head(heads.box_pooler(given, boxes))
    predictor = heads.box_predictor
    predictions = predictor(pooled)
    return _scores(
        predictions[0][:, :-1],
        predictor.predict_probs(predictions, proposals)[0],
        predictor.predict_boxes(predictions, proposals)[0],
        proposals[0].image_size,
    )


def _cascade(heads: Any, features: Mapping[str, torch.Tensor], proposals: list[Any]) -> BoxScores:
    """Scores are means of all heads', of which each takes the boxes of the one before; so are the
    logits."""
    given = [features[name] for name in heads.box_in_features]
    sizes = [each.image_size for each in proposals]
    logits, scores, boxes = [], [], None
    for head, predictor in zip(heads.box_head, heads.box_predictor, strict=True):
        if boxes is not None:
            proposals = heads._create_proposals_from_boxes(boxes, sizes)
        pooled = heads.box_pooler(given, [each.proposal_boxes for each in proposals])
        predictions = predictor(head(pooled))
        boxes = [each.detach() for each in predictor.predict_boxes(predictions, proposals)]
        logits.append(predictions[0][:, :-1])
        scores.append(predictor.predict_probs(predictions, proposals)[0])
    assert boxes is not None
    return _scores(torch.stack(logits).mean(0), torch.stack(scores).mean(0), boxes[0], sizes[0])


def _retinanet(model: Any, images: ImageList, features: Mapping[str, torch.Tensor]) -> BoxScores:
    # as official versions of 0.6 call it; 0.5 as well
    given = [features[name] for name in model.head_in_features]
    anchors = model.anchor_generator(given)
    logits, deltas = model.head(given)
    flat = [
        torch.cat([permute_to_N_HWA_K(x, width)[0] for x in values])
        for values, width in ((logits, model.num_classes), (deltas, 4))
    ]
    corners = torch.cat([each.tensor for each in anchors])
    boxes = model.box2box_transform.apply_deltas(flat[1], corners)
    return _scores(flat[0], flat[0].sigmoid(), boxes, images.image_sizes[0])


def _scores(
    logits: torch.Tensor, scores: torch.Tensor, boxes: torch.Tensor, size: tuple[int, int]
) -> BoxScores:
    height, width = size
    corners = boxes.detach().view(len(boxes), -1, 4)
    largest = corners.new_tensor([width, height, width, height])
    return BoxScores(
        logits, scores.detach()[:, : logits.shape[1]], corners.clamp(min=0).minimum(largest)
    )
