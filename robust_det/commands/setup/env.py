"""Versions, devices and where things come from, as an issue report needs them.

robust-det env

It works whatever is missing or broken: that is then what it says.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from robust_det.core.cli import Parser
from robust_det.core.errors import reason_of
from robust_det.core.installation import PACKAGE, __version__, source_state, versions_of

_LIBRARIES = (
    "torch",
    "torchvision",
    "numpy",
    "pillow",
    "opencv-python",
    "opencv-python-headless",
    "fvcore",
    "iopath",
    "pycocotools",
    "faster-coco-eval",
    "simplejpeg",
    "safetensors",
    "huggingface_hub",
    "onnx",
    "onnxruntime",
    "duckdb",
    "timm",
)
_VARIABLES = ("ROBUST_DET_", "DETECTRON2_", "HF_H", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")


EXAMPLES = (
    "robust-det env",
    "robust-det env > environment.txt",
)


def main(args: argparse.Namespace) -> None:
    """Print one line a fact."""
    rows = list(facts())
    width = max(len(name) for name, _ in rows) + 2
    for name, value in rows:
        print(f"{name:{width}}{value}")


def facts() -> Iterator[tuple[str, str]]:
    """Yield the name and the value of each fact."""
    commit, modified = source_state()
    source = f"commit {commit}{', modified' if modified else ''}" if commit else "commit unknown"
    yield "robust_det", f"{__version__}, {source}, in {PACKAGE}"
    yield "python", f"{platform.python_version()}, {sys.executable}"
    yield "platform", f"{platform.platform()}, {len(os.sched_getaffinity(0))} usable cores"
    yield "detectron2", _attempt(_detectron2)
    yield from versions_of(_LIBRARIES).items()
    yield "threads of torch", _attempt(_threads)
    yield "CUDA of torch", _attempt(_cuda)
    yield "devices", _attempt(_devices)
    for name in sorted(os.environ):
        if name.startswith(_VARIABLES):
            yield f"${name}", os.environ[name]


def _attempt(fact: Callable[[], str]) -> str:
    """Return the fact, or what keeps it from being known."""
    try:
        return fact()
    except Exception as error:
        return f"not available: {reason_of(error)}"


def _detectron2() -> str:
    """Return version, kind, and origin, without importing Detectron2."""
    from robust_det.backbones.compat import installed_version

    installed_version()  # says what to do if there is none
    spec = importlib.util.find_spec("detectron2")
    assert spec is not None and spec.origin is not None
    folder = Path(spec.origin).parent
    compiled = any(any(folder.glob(f"_C*{suffix}")) for suffix in EXTENSION_SUFFIXES)
    try:
        distribution = metadata.distribution("detectron2")
    except metadata.PackageNotFoundError:
        version, where = ".".join(map(str, installed_version())), "no distribution"
    else:
        version = distribution.version
        # PEP 610: a URL or a folder, where it was not a registry
        where = " ".join((distribution.read_text("direct_url.json") or "from an index").split())
    return f"{version}, {'compiled' if compiled else 'pure Python'}, in {folder}, {where}"


def _threads() -> str:
    import torch

    return f"{torch.get_num_threads()}, {torch.get_num_interop_threads()} between operators"


def _cuda() -> str:
    import torch

    return f"{torch.version.cuda or 'none'}, cuDNN {torch.backends.cudnn.version() or 'none'}"


def _devices() -> str:
    import torch

    gpus = [torch.cuda.get_device_properties(n) for n in range(torch.cuda.device_count())]
    names = [f"{gpu.name} ({gpu.total_memory / 2**30:.0f} GiB)" for gpu in gpus]
    return ", ".join(names) or f"cpu ({platform.machine()})"


def add_arguments(parser: Parser) -> None:
    """There are none."""
