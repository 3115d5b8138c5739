"""The compatibility layer: what it adds, what it leaves alone, and that the numbers are right."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from robust_det.backbones import compat
from robust_det.core.errors import UserError
from tests.support import run_python

OLD = compat.installed_version() < (0, 6)
STAND_IN = OLD and not compat.operators_are_compiled()
only_stand_in = pytest.mark.skipif(not STAND_IN, reason="this Detectron2 has its own operators")


def printed(code: str) -> str:
    """Run code in an interpreter that knows neither Detectron2 nor the project."""
    done = run_python(code)
    assert done.code == 0, done.err
    return done.out.strip()


def test_importing_the_package_alone_patches_nothing() -> None:
    code = (
        "import sys, numpy\n"
        "import robust_det.core.config.reading, robust_det.core.cli, robust_det.records\n"
        "print('int' in vars(numpy), 'str' in vars(numpy), 'detectron2' in sys.modules)"
    )
    assert printed(code) == "False False False"


def test_model_zoo_and_engine_import_without_a_warning() -> None:
    code = (
        "import robust_det.backbones\n"
        "from detectron2 import model_zoo\n"
        "import detectron2.engine, detectron2.evaluation, detectron2.utils.visualizer\n"
        "print(model_zoo.get_config('COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_1x.yaml')"
        ".SOLVER.MAX_ITER)"
    )
    done = run_python(code)
    assert (done.out.strip(), done.err) == ("90000", "")


def test_operations_are_counted() -> None:
    code = (
        "import torch, robust_det.backbones\n"
        "from detectron2.utils.analysis import FlopCountAnalysis, parameter_count\n"
        "from detectron2.export import TracingAdapter, scripting_with_instances\n"
        "from robust_det.backbones.builders import build_backbone\n"
        "stem = build_backbone('resnet10_narrow', norm='FrozenBN').stem\n"
        "print(parameter_count(stem)[''])"
    )
    assert printed(code) == str(3 * 7 * 7 * 16)


def test_a_second_call_changes_nothing() -> None:
    names, operators = set(vars(np)), sys.modules.get("detectron2._C")
    compat.prepare_detectron2()
    assert set(vars(np)) == names
    assert sys.modules.get("detectron2._C") is operators


def test_only_an_old_version_gets_numpy_names() -> None:
    assert ("int" in vars(np)) is OLD
    assert np.zeros(2, dtype=np.bool).dtype == bool
    if OLD:
        added: Any = np
        assert (added.int, added.float, added.str) == (int, float, str)


def test_compiled_operators_are_never_replaced() -> None:
    # a module that Python finds under the name plays the part of compiled operators
    code = (
        "import sys, types\n"
        "real = sys.modules['detectron2._C'] = types.ModuleType('detectron2._C')\n"
        "import robust_det.backbones\n"
        "import detectron2\n"
        "print(sys.modules['detectron2._C'] is real, dir(real) == dir(types.ModuleType('x')))\n"
        "print('detectron2.layers' in sys.modules)"
    )
    assert printed(code).split() == ["True", "True", "False"]


def test_a_newer_version_is_left_alone() -> None:
    code = (
        "import sys, numpy, PIL.Image\n"
        "from robust_det.backbones import compat\n"  # prepares what is installed
    )
    if OLD:
        # pretend, before the package's own __init__ asks for the version
        code = (
            "import importlib.util, sys, types, numpy, PIL.Image\n"
            "package = types.ModuleType('robust_det.backbones')\n"
            "package.__path__ = ['robust_det/backbones']\n"
            "sys.modules['robust_det.backbones'] = package\n"
            "from robust_det.backbones import compat\n"
            "compat.installed_version = lambda: (0, 6)\n"
            "compat.prepare_detectron2()\n"
        )
    code += (
        "print('int' in vars(numpy), hasattr(PIL.Image, 'LINEAR'), "
        "any(m.startswith('detectron2') for m in sys.modules))"
    )
    assert printed(code) == "False False False"


def test_missing_detectron2_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compat.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"robust-det install-detectron2"):
        compat.installed_version()


def test_missing_pkg_resources_says_which_setuptools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pkg_resources", None)
    with pytest.raises(UserError, match="setuptools<81"):
        compat._import_pkg_resources()


@only_stand_in
@pytest.mark.parametrize("name", sorted(compat._COMPILED_OPS))
def test_what_the_stand_in_lacks_is_named(name: Any) -> None:
    from detectron2 import _C

    with pytest.raises(UserError, match=f"'{name}' is not compiled here"):
        getattr(_C, name)(1, 2)


@only_stand_in
def test_rotated_boxes_are_refused_through_detectron2() -> None:
    from detectron2.layers import ROIAlignRotated
    from detectron2.structures import RotatedBoxes, pairwise_iou_rotated

    boxes = torch.tensor([[5.0, 5.0, 4.0, 2.0, 30.0]])
    with pytest.raises(UserError, match="box_iou_rotated"):
        pairwise_iou_rotated(RotatedBoxes(boxes), RotatedBoxes(boxes))
    with pytest.raises(UserError, match="roi_align_rotated_forward"):
        ROIAlignRotated((2, 2), 1.0, 0)(torch.zeros(1, 1, 8, 8), torch.zeros(1, 6))


@only_stand_in
def test_the_export_to_caffe2_is_refused() -> None:
    from detectron2.export import Caffe2Tracer, TracingAdapter, add_export_config

    assert TracingAdapter.__name__ == "TracingAdapter"
    for what in (Caffe2Tracer, add_export_config):
        with pytest.raises(
            UserError, match=rf"'{what.__name__}' needs Caffe2, .*robust-det export"
        ):
            what(None)


def test_the_zoos_configs_in_python_load() -> None:
    import detectron2
    from detectron2 import model_zoo

    if not any(Path(detectron2.__file__).parent.glob("model_zoo/configs/**/*.py")):
        pytest.skip("installed before its configs in Python were; make installs it again")
    config = model_zoo.get_config("new_baselines/mask_rcnn_R_50_FPN_100ep_LSJ.py")
    assert config.train.max_iter == 184375
    assert model_zoo.get_config("COCO-Detection/retinanet_R_50_FPN_1x.py").model is not None


@only_stand_in
def test_environment_report_names_the_stand_in() -> None:
    from detectron2.utils.collect_env import collect_env_info

    lines = [line for line in collect_env_info().splitlines() if line.startswith("Compiler ")]
    assert lines and lines[0].endswith("none (pure Python)")


@only_stand_in
def test_stock_evaluation_is_that_of_pycocotools() -> None:
    code = (
        "import robust_det.backbones\n"
        "from detectron2.evaluation import coco_evaluation\n"
        "from detectron2.evaluation.fast_eval_api import COCOeval_opt\n"
        "from pycocotools.cocoeval import COCOeval\n"
        "print(COCOeval_opt is COCOeval is coco_evaluation.COCOeval_opt)"
    )
    assert printed(code) == "True"


def _stages(optimizer: Any) -> Any:
    from torch.optim.lr_scheduler import LinearLR, SequentialLR, StepLR

    warm = LinearLR(optimizer, 0.1, total_iters=2)
    return SequentialLR(optimizer, [warm, StepLR(optimizer, 2)], [2])


@pytest.mark.parametrize(
    "make",
    [
        lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 3),
        lambda optimizer: torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=20),
        _stages,
    ],
    ids=["step", "cycle", "sequence"],
)
def test_a_stock_trainer_resumes_the_course_of_a_scheduler_of_torch(make: Any) -> None:
    from detectron2.engine import SimpleTrainer, hooks

    class Model(torch.nn.Linear):
        def forward(self, batch: Any) -> Any:
            return {"loss": super().forward(batch).square().sum()}

    def trainer() -> tuple[Any, Any]:
        model = Model(2, 1)
        optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
        made = SimpleTrainer(model, [torch.ones(1, 2)] * 30, optimizer)
        scheduler = make(optimizer)
        made.register_hooks([hooks.LRScheduler(optimizer, scheduler)])
        return made, scheduler

    whole, expected = trainer()
    whole.train(0, 9)
    first, _ = trainer()
    first.train(0, 4)
    second, resumed = trainer()
    second.load_state_dict(first.state_dict())
    second.train(4, 9)
    assert resumed.last_epoch == expected.last_epoch == 9
    assert resumed.get_last_lr() == pytest.approx(expected.get_last_lr())
    assert isinstance(resumed, torch.optim.lr_scheduler._LRScheduler) or not OLD


def tiny_mask_rcnn() -> Any:
    from detectron2 import model_zoo
    from detectron2.config import get_cfg
    from detectron2.modeling import build_model

    cfg = get_cfg()
    name = "COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_1x.yaml"
    cfg.merge_from_file(model_zoo.get_config_file(name))
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.WEIGHTS = ""
    cfg.MODEL.RESNETS.DEPTH = 18
    cfg.MODEL.RESNETS.RES2_OUT_CHANNELS = 64
    cfg.MODEL.RESNETS.NORM = "GN"  # tame activations without trained statistics
    cfg.MODEL.FPN.OUT_CHANNELS = 16
    cfg.MODEL.RPN.POST_NMS_TOPK_TRAIN = 50
    cfg.MODEL.RPN.POST_NMS_TOPK_TEST = 50
    cfg.MODEL.ROI_BOX_HEAD.FC_DIM = 32
    cfg.MODEL.ROI_MASK_HEAD.CONV_DIM = 16
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = 3
    cfg.MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE = 16
    cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST = 0.0
    torch.manual_seed(0)
    return build_model(cfg)


def test_mask_rcnn_trains_and_predicts_inside_the_image() -> None:
    from detectron2.structures import BitMasks, Boxes, Instances
    from detectron2.utils.events import EventStorage

    model = tiny_mask_rcnn()
    height, width = 64, 96
    truth = Instances((height, width))
    truth.gt_boxes = Boxes(torch.tensor([[8.0, 8.0, 40.0, 40.0], [50.0, 20.0, 90.0, 60.0]]))
    truth.gt_classes = torch.tensor([0, 2])
    masks = torch.zeros(2, height, width, dtype=torch.bool)
    masks[0, 8:40, 8:40] = True
    masks[1, 20:60, 50:90] = True
    truth.gt_masks = BitMasks(masks)
    image = torch.randint(0, 256, (3, height, width), dtype=torch.uint8).float()
    inputs = [{"image": image, "height": height, "width": width, "instances": truth}]

    with EventStorage():
        losses = model.train()(inputs)
        sum(losses.values()).backward()
    assert len(losses) == 5
    assert all(torch.isfinite(value) for value in losses.values())
    # untrained, three classes: the classifier is near ln(4), the mask head near ln(2)
    assert losses["loss_cls"].item() == pytest.approx(np.log(4), abs=0.1)
    assert losses["loss_mask"].item() == pytest.approx(np.log(2), abs=0.1)
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)

    with torch.no_grad():
        found = model.eval()(inputs)[0]["instances"]
    assert 0 < len(found) <= 100
    boxes = found.pred_boxes.tensor
    assert (boxes >= 0).all()
    assert (boxes[:, 0::2] <= width).all() and (boxes[:, 1::2] <= height).all()
    assert found.pred_masks.shape == (len(found), height, width)
    # scores of three classes and background, hardly told apart yet
    assert found.scores.max().item() == pytest.approx(0.25, abs=0.05)
