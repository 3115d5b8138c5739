"""The formats a detector can be exported to."""

from __future__ import annotations

import contextlib
import importlib
import io
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from robust_det.core.errors import UserError
from robust_det.detection.export.traceable import Traceable, traceable_modules

__all__ = ["FORMATS", "Exported", "Format"]

# the first with all operators of a detector, such as GridSample and RoiAlign of half pixels
_OPSET = 17

Exported = Callable[[torch.Tensor], list[torch.Tensor]]
Format = Callable[[Traceable, torch.Tensor], tuple[bytes, Exported]]


def to_onnx(model: Traceable, sample: torch.Tensor) -> tuple[bytes, Exported]:
    """Return an ONNX file, and how ONNX Runtime runs it on the CPU.

    Raises:
        UserError: the packages of the ``export`` extra are not installed.
    """
    try:
        importlib.import_module("onnx")
        runtime: Any = importlib.import_module("onnxruntime")
    except ImportError as error:
        raise UserError(
            f"ONNX needs the package {error.name}: pip install onnx onnxruntime"
        ) from error
    buffer: Any = io.BytesIO()
    with _quiet(), traceable_modules():
        torch.onnx.export(
            model,
            (sample,),
            buffer,
            # by tracing: the exporter that is built on torch.export cannot take a detector
            dynamo=False,
            opset_version=_OPSET,
            input_names=["image"],
            output_names=model.outputs,
            dynamic_axes={
                "image": {1: "height", 2: "width"},
                **{name: {0: "objects"} for name in model.outputs},
            },
        )
    session = runtime.InferenceSession(buffer.getvalue(), providers=["CPUExecutionProvider"])

    def run(image: torch.Tensor) -> list[torch.Tensor]:
        outputs = session.run(None, {"image": image.numpy()})
        return [torch.from_numpy(output) for output in outputs]

    return buffer.getvalue(), run


def to_torchscript(model: Traceable, sample: torch.Tensor) -> tuple[bytes, Exported]:
    """Return a TorchScript file, and how torch runs it."""
    buffer = io.BytesIO()
    with _quiet(), traceable_modules():
        traced = torch.jit.trace(model, (sample,), check_trace=False)
        torch.jit.save(traced, buffer)
    buffer.seek(0)
    with _quiet():
        loaded = torch.jit.load(buffer)
    return buffer.getvalue(), lambda image: list(loaded(image))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    # a warning for each Python value that a trace keeps; whether it may is what the check finds out
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


FORMATS: Mapping[str, Format] = {
    "onnx": to_onnx,
    "torchscript": to_torchscript,
}
