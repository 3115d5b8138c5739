"""Everything that lets Detectron2 0.5 run beside current numpy, Pillow, torch and setuptools.

Version 0.5, as our installer builds it, is from 2021 and comes without its compiled operators.
This module gives it the few names it misses. It runs before the first import of Detectron2, adds
only what is absent, and leaves version 0.6 and later alone: they need none of it.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import re
import sys
import warnings
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from robust_det.core.errors import UserError

__all__ = ["installed_version", "operators_are_compiled", "prepare_detectron2"]

logger = logging.getLogger(__name__)

# what Detectron2 0.5 calls in detectron2._C
_COMPILED_OPS = (
    "box_iou_rotated",
    "roi_align_rotated_forward",
    "roi_align_rotated_backward",
    "deform_conv_forward",
    "deform_conv_backward_input",
    "deform_conv_backward_filter",
    "modulated_deform_conv_forward",
    "modulated_deform_conv_backward",
)
_OFFICIAL = "install the official Detectron2 with its compiled operators"
# what detectron2.export has of Caffe2
_CAFFE2 = (
    "Caffe2Model",
    "Caffe2Tracer",
    "add_export_config",
    "export_caffe2_model",
    "export_onnx_model",
)
_EXPORT = "robust-det export writes ONNX and TorchScript"
_done = False


def prepare_detectron2() -> None:
    """Make ``import detectron2`` work here. A second call does nothing.

    Raises:
        UserError: Detectron2, or something that every version of it needs, is not installed.
    """
    global _done
    if _done:
        return
    version = installed_version()
    _hide_known_warnings()
    _import_pkg_resources()
    _check_opencv()
    if version < (0, 6):
        _name_numpy_types()
        _name_pillow_filter()
        _name_base_of_schedulers()
        _stand_in_for_compiled_ops()
        _leave_out_caffe2()
    _done = True


def installed_version() -> tuple[int, int]:
    """Return (major, minor) of the Detectron2 that would be imported, without importing it.

    Read from its source: a checkout on ``PYTHONPATH`` has no distribution metadata.

    Raises:
        UserError: there is no Detectron2.
    """
    spec = importlib.util.find_spec("detectron2")
    if spec is None or spec.origin is None:
        raise UserError(
            "Detectron2 is not installed; 'make .venv' installs all this project needs, "
            "'robust-det install-detectron2' adds Detectron2 alone"
        )
    text = Path(spec.origin).read_text(encoding="utf-8")
    match = re.search(r"^__version__ = [\"'](\d+)\.(\d+)", text, re.MULTILINE)
    if match is None:
        raise UserError(f"{spec.origin} names no version; install Detectron2 0.5 or later")
    return int(match[1]), int(match[2])


def operators_are_compiled() -> bool:
    """Whether Detectron2 has its compiled operators; those for rotated boxes have no other form."""
    return getattr(sys.modules.get("detectron2._C"), "__file__", None) is not None


def _hide_known_warnings() -> None:
    # three things that Detectron2 does, that work, and that a user can do nothing about
    for category, message in (
        (FutureWarning, r"`torch\.jit\.script` is deprecated"),  # decorators, in every version
        (UserWarning, r"torch\.meshgrid: in an upcoming release"),  # anchors, in every version
        (UserWarning, r"Creating a tensor from a list of numpy\.ndarrays"),  # boxes, in 0.5
    ):
        warnings.filterwarnings("ignore", message=message, category=category)


def _import_pkg_resources() -> None:
    # detectron2.model_zoo, in every version, finds its configs with pkg_resources; setuptools
    # dropped it after version 80, which warns about that in every program that imports it
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pkg_resources  # noqa: F401
    except ImportError as error:
        raise UserError(
            "Detectron2 needs pkg_resources; pip install 'setuptools<81' brings it back"
        ) from error


def _check_opencv() -> None:
    # setup.py cannot ask for "one of four distributions that provide cv2", so it is asked for here
    if os.environ.get("DETECTRON2_DISABLE_CV2", "0") != "0" or "cv2" in sys.modules:
        return
    if importlib.util.find_spec("cv2") is None:
        raise UserError("OpenCV is not installed; pip install opencv-python-headless")


def _name_numpy_types() -> None:
    import numpy

    # 0.5 writes dtype=np.int and the like; numpy 1.24 removed these names of Python's own types:
    # int: the class histogram of data/build.py, sem_seg_evaluation.py
    # float: sem_seg_evaluation.py
    # bool: bit masks in structures/masks.py, the visualizer, VOC evaluation (numpy 2 has it again)
    # str: the list of images of VOC (data/datasets/pascal_voc.py)
    for python_type in (int, float, bool, str):
        # vars(), as hasattr() makes numpy warn about the names
        if python_type.__name__ not in vars(numpy):
            setattr(numpy, python_type.__name__, python_type)


def _name_pillow_filter() -> None:
    from PIL import Image

    # data/transforms/transform.py has it as a default argument; Pillow 10 removed this second name
    if not hasattr(Image, "LINEAR"):
        Image.LINEAR = Image.BILINEAR  # type: ignore[attr-defined]


def _name_base_of_schedulers() -> None:
    from torch.optim import lr_scheduler

    # engine/hooks.py keeps the state of what is a _LRScheduler, which in torch 2 is a subclass that
    # none of torch's schedulers has: a resumed run would start their course again, without a word.
    # With the old meaning of the name, whatever was one is one still
    if not issubclass(lr_scheduler.StepLR, lr_scheduler._LRScheduler):
        lr_scheduler._LRScheduler = lr_scheduler.LRScheduler  # type: ignore[misc, assignment]


def _stand_in_for_compiled_ops() -> None:
    try:
        importlib.import_module("detectron2._C")
        return  # somebody compiled 0.5: nothing to replace
    except ModuleNotFoundError:
        pass
    except ImportError as error:
        logger.warning("detectron2._C is installed but does not load (%s); going on without", error)

    # layers/{deform_conv,rotated_boxes,roi_align_rotated}.py import it when they are imported
    # themselves, whether or not anything of it is used
    stand_in = ModuleType("detectron2._C", "Takes the place of the compiled operators.")
    stand_in.__spec__ = ModuleSpec("detectron2._C", None)  # find_spec() refuses modules without
    for name in _COMPILED_OPS:
        setattr(stand_in, name, _refusal(name, "is not compiled here", _OFFICIAL))
    # utils/collect_env.py asks these three, and every training run prints what it collects
    stand_in.get_compiler_version = lambda: "none (pure Python)"  # type: ignore[attr-defined]
    stand_in.get_cuda_version = lambda: "none (pure Python)"  # type: ignore[attr-defined]
    stand_in.has_cuda = lambda: False  # type: ignore[attr-defined]
    sys.modules["detectron2._C"] = stand_in
    # a statement "import detectron2._C as _C" reads the attribute of the package
    sys.modules["detectron2"]._C = stand_in  # type: ignore[attr-defined]
    _evaluate_by_pycocotools()


def _evaluate_by_pycocotools() -> None:
    # COCOEvaluator asks for the compiled form of pycocotools unless it is told not to, when all is
    # trained; without operators, Detectron2's main takes pycocotools itself, and so does 0.5 now
    name = "detectron2.evaluation.fast_eval_api"
    module = ModuleType(name, "Takes the place of the compiled evaluation: pycocotools itself.")
    module.__spec__ = ModuleSpec(name, None)

    def attribute(wanted: str) -> Any:
        if wanted != "COCOeval_opt":
            raise AttributeError(f"module '{name}' has no attribute '{wanted}'")
        from pycocotools.cocoeval import COCOeval

        return COCOeval

    module.__getattr__ = attribute  # type: ignore[method-assign]
    sys.modules[name] = module


def _leave_out_caffe2() -> None:
    # export/__init__.py, which counting operations imports as well, imports the export to Caffe2
    # before all else; current torch does not bring Caffe2 along
    if importlib.util.find_spec("caffe2") is None:
        name = "detectron2.export.api"
        module = ModuleType(name, "Takes the place of the export to Caffe2: refuses.")
        module.__spec__ = ModuleSpec(name, None)
        for each in _CAFFE2:
            setattr(
                module, each, _refusal(each, "needs Caffe2, which torch no longer brings", _EXPORT)
            )
        sys.modules[name] = module


def _refusal(name: str, problem: str, advice: str) -> Any:
    def refuse(*args: Any, **kwargs: Any) -> NoReturn:
        raise UserError(f"Detectron2's '{name}' {problem}", advice)

    refuse.__name__ = name
    return refuse
