"""The formats a network can be exported to."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from unittest import mock

import torch
from torch import nn

from robust_det.core.errors import UserError, one_line, reason_of

__all__ = ["FORMATS", "Exported", "Format", "Interface", "format_named"]

# the first with all operators of a detector, such as GridSample and RoiAlign of half pixels
_OPSET = 17
_LARGEST = 2**31  # bytes of a message of protobuf, of which an ONNX file is one


@dataclass(frozen=True)
class Interface:
    """How a network is called.

    Attributes:
        input: name of the one tensor that it takes.
        outputs: names of the tensors that it returns, in their order.
        varying: by those names, which axes have any length, and what each is called.
    """

    input: str
    outputs: tuple[str, ...]
    varying: Mapping[str, Mapping[int, str]]


Exported = Callable[[torch.Tensor], list[torch.Tensor]]
# network, sample, interface, and what the file is to say of itself, to the file and how it is run
Format = Callable[[nn.Module, torch.Tensor, Interface, Mapping[str, Any]], tuple[bytes, Exported]]


def format_named(kind: str) -> Format:
    """Return the format of that name.

    Raises:
        UserError: there is none.
    """
    if kind not in FORMATS:
        raise UserError(f"unknown format '{kind}'; use {' or '.join(FORMATS)}")
    return FORMATS[kind]


def to_onnx(
    model: nn.Module, sample: torch.Tensor, interface: Interface, said: Mapping[str, Any]
) -> tuple[bytes, Exported]:
    """Return an ONNX file that ONNX's checker accepts, and how ONNX Runtime runs it on the CPU.

    Args:
        model: in eval mode on the CPU.
        sample: of its input.
        interface: how it is called.
        said: the file's metadata; what is no text is written as JSON.

    Raises:
        UserError: the packages of the ``export`` extra are not installed, the network cannot be
            traced, or is larger than a file can be.
    """
    try:
        onnx: Any = importlib.import_module("onnx")
        runtime: Any = importlib.import_module("onnxruntime")
    except ImportError as error:
        raise UserError(
            f"ONNX needs the package {error.name}: pip install onnx onnxruntime"
        ) from error
    size = sum(t.numel() * t.element_size() for t in (*model.parameters(), *model.buffers()))
    if size >= _LARGEST:
        raise UserError(
            f"the network's {size / 2**30:.1f} GiB of weights are more than the 2 GiB of an ONNX"
            " file; use torchscript"
        )
    buffer: Any = io.BytesIO()
    with _quiet(), _told("ONNX", "use torchscript"):
        torch.onnx.export(
            model,
            (sample,),
            buffer,
            # by tracing: the exporter that is built on torch.export cannot take a detector
            dynamo=False,
            opset_version=_OPSET,
            input_names=[interface.input],
            output_names=[*interface.outputs],
            dynamic_axes={name: dict(axes) for name, axes in interface.varying.items()},
        )
        graph = onnx.load_model_from_string(buffer.getvalue())
        onnx.helper.set_model_props(graph, _texts(said))
        onnx.checker.check_model(graph, full_check=True)
        content = graph.SerializeToString()
        session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])

    def run(image: torch.Tensor) -> list[torch.Tensor]:
        outputs = session.run(None, {interface.input: image.numpy()})
        return [torch.from_numpy(output) for output in outputs]

    return content, run


def to_torchscript(
    model: nn.Module, sample: torch.Tensor, interface: Interface, said: Mapping[str, Any]
) -> tuple[bytes, Exported]:
    """Return a TorchScript file, and how torch runs it; see :func:`to_onnx`.

    What it says of itself are its extra files, as ``torch.jit.load`` calls them.
    """
    buffer = io.BytesIO()
    with _quiet(), _told("TorchScript"):
        traced = torch.jit.trace(model, (sample,), check_trace=False)
        torch.jit.save(traced, buffer, _extra_files=_texts(said))
    buffer.seek(0)
    with _quiet():
        loaded = torch.jit.load(buffer)

    def run(image: torch.Tensor) -> list[torch.Tensor]:
        outputs = loaded(image)
        return [outputs] if isinstance(outputs, torch.Tensor) else list(outputs)

    return buffer.getvalue(), run


def _texts(said: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: value if isinstance(value, str) else json.dumps(value) for name, value in said.items()
    }


@contextlib.contextmanager
def _told(format: str, advice: str = "") -> Iterator[None]:
    """Say that a network cannot be had in a format, and why."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:  # of the exporter, the checker or the runtime
        # torch's exporter goes on with whom to ask, and with pages of the graph
        why = one_line(reason_of(error).partition(". ")[0][:300])
        raise UserError(
            f"this network cannot be written as {format}: {why}; nothing written", advice
        ) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    # a warning for each Python value that a trace keeps; whether it may is what the check finds out
    with (
        warnings.catch_warnings(),
        # it prints all of the graph that cannot be exported
        mock.patch.object(torch._C, "_jit_onnx_log", lambda *parts: None),
    ):
        warnings.simplefilter("ignore")
        yield


FORMATS: Mapping[str, Format] = {
    "onnx": to_onnx,
    "torchscript": to_torchscript,
}
