"""A detector as a function of tensors, which can be traced."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

import torch
from detectron2.modeling import GeneralizedRCNN
from torch import nn

from robust_det.detection.detector import Detector

__all__ = ["Traceable", "traceable_modules"]

# they split a batch's boxes by the number of boxes in each image
_COUNTING = ("detectron2.modeling.roi_heads.fast_rcnn", "detectron2.modeling.roi_heads.mask_head")
_SCALING = "detectron2.modeling.roi_heads.cascade_rcnn._ScaleGradient"


class Traceable(nn.Module):
    """Takes one image, (3, h, w) float32 in [0, 255], resized as for the detector.

    Returns boxes (N, 4) as x0, y0, x1, y1 in its pixels, scores (N), classes (N) from 0, and if the
    detector has masks, their probabilities (N, M, M) within the boxes. Masks are not pasted into
    the image: Detectron2's pasting cannot be traced.
    """

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.model: Any = detector.model
        self.outputs = ["boxes", "scores", "classes"]
        if detector.cfg.MODEL.MASK_ON:
            self.outputs.append("masks")

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """See the class."""
        if isinstance(self.model, GeneralizedRCNN):
            # not the model's own: a PanopticFPN's finds the stuff as well
            inference = GeneralizedRCNN.inference
            found = inference(self.model, [{"image": image}], do_postprocess=False)[0]
            found = found[found.pred_boxes.nonempty()]
        else:
            found = self.model([{"image": image}])[0]["instances"]
        outputs = (found.pred_boxes.tensor, found.scores, found.pred_classes)
        return (*outputs, found.pred_masks[:, 0]) if "masks" in self.outputs else outputs


@contextlib.contextmanager
def traceable_modules() -> Iterator[None]:
    """Let Detectron2's modules do what a trace can hold.

    ``len`` gives the number of boxes as an int, which a trace keeps for ever; what it asks gives a
    tensor while tracing. The scaling of gradients, which Cascade R-CNN of Detectron2 0.5 has at
    inference as well, is a Python function.
    """
    with contextlib.ExitStack() as stack:
        for module in _COUNTING:
            stack.enter_context(
                mock.patch(f"{module}.len", lambda value: value.__len__(), create=True)
            )
        stack.enter_context(mock.patch(f"{_SCALING}.apply", lambda value, scale: value))
        yield
