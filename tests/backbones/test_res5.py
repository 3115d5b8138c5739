"""C4 detectors from networks that are no ResNet: they are cut at res4, and nothing is lost."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from detectron2.modeling import build_model
from torch import nn

from robust_det.backbones.builders import build_backbone, build_res5
from robust_det.backbones.traced import trace_last_stage
from robust_det.checkpoints.io import load_checkpoint, save_checkpoint
from robust_det.conversion.convert import convert
from robust_det.core.errors import UserError
from robust_det.detection.checkpointer import RobustCheckpointer
from robust_det.detection.config import load_config
from robust_det.detection.finetuning.trainer import RobustTrainer
from robust_det.models import ARCHITECTURES, Classifier
from robust_det.models.registry import Architecture, Stage
from tests.support import ROOT

# but for two that differ in their widths alone
TRACED = [
    name
    for name, entry in ARCHITECTURES.items()
    if entry.layout is None and not name.startswith(("convnext_small", "convnext_base"))
]


def parts(arch: Any) -> Any:
    """The backbone up to res4, res5 as a head, and the backbone with both, of the same weights."""
    with torch.device("meta"):
        trunk = build_backbone(arch, norm="BN", out_features=["res4"])
        head = build_res5(arch, norm="BN")
        whole = build_backbone(arch, norm="BN", out_features=["res4", "res5"])
    whole.to_empty(device="cpu")
    state = whole.state_dict()
    for name, tensor in state.items():
        if tensor.dim() > 1:
            tensor.normal_(0, tensor[0].numel() ** -0.5)  # keeps the features' scale
        elif tensor.is_floating_point():
            tensor.uniform_(0.5, 1.5) if "bias" not in name else tensor.uniform_(-0.5, 0.5)
    for part in (trunk, head):
        part.load_state_dict({n: state[n].clone() for n in part.state_dict()}, assign=True)
    return trunk, head, whole


def difference(a: Any, b: Any) -> Any:
    """The largest difference, relative to the largest value."""
    return ((a - b).abs().max() / b.abs().max()).item()


@pytest.mark.parametrize("arch", TRACED)
def test_backbone_and_head_are_the_network(arch: Any) -> None:
    torch.manual_seed(0)
    trunk, head, whole = parts(arch)
    shared = set(trunk.state_dict()) & set(head.state_dict())
    assert not shared
    assert set(trunk.state_dict()) | set(head.state_dict()) == set(whole.state_dict())
    channels = [stage.channels for stage in ARCHITECTURES[arch].stages[-2:]]
    images = torch.rand(2, 3, 64, 64)
    for training in (False, True):
        for part in (trunk, head, whole):
            part.train(training)
        with torch.no_grad():
            torch.manual_seed(1)  # of stochastic depth
            expected = whole(images)["res5"]
            torch.manual_seed(1)
            features = trunk(images)
            assert list(features) == ["res4"]
            assert difference(head(features["res4"]), expected) < 1e-6
    # what the pooling of a region gives, and the mean over what comes of it
    with torch.no_grad():
        assert head(torch.rand(3, channels[0], 14, 14)).shape == (3, channels[1], 7, 7)
        assert head(torch.rand(0, channels[0], 14, 14)).shape == (0, channels[1], 7, 7)


def test_a_head_without_weights() -> None:
    """VGG's res5 is its last pooling."""
    _, head, _ = parts("vgg16_bn")
    assert not head.state_dict()
    features = torch.rand(1, 512, 14, 14)
    assert torch.equal(head(features), nn.functional.max_pool2d(features, 2))


@pytest.mark.parametrize("arch", ["shufflenet_v2_x1_0", "convnext_tiny", "mnasnet1_0"])
def test_the_head_in_bf16_and_channels_last(arch: str) -> None:
    torch.manual_seed(0)
    trunk, head, whole = parts(arch)
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        expected = whole.eval()(images)["res5"]
        for part in (trunk, head):
            part.eval().to(memory_format=torch.channels_last)
        assert difference(head(trunk(images)["res4"]), expected) < 1e-5
        with torch.autocast("cpu", torch.bfloat16):
            low = head(trunk(images)["res4"])
    assert 0 < ((low - expected).norm() / expected.norm()).item() < 0.05


def test_the_head_is_copied_with_its_two_graphs() -> None:
    head = build_res5("mobilenet_v2", norm="BN")
    twin = copy.deepcopy(head)
    features = torch.rand(2, 96, 14, 14)
    with torch.no_grad():
        assert torch.equal(twin.eval()(features), head.eval()(features))
        assert torch.equal(twin.train()(features), head.train()(features))


def test_stages_that_nobody_asked_for_are_not_built() -> None:
    names = list(build_backbone("mobilenet_v2", out_features=["res2", "res4"]).state_dict())
    assert any(name.startswith("body.features.13.") for name in names)
    assert not any(name.startswith("body.features.14.") for name in names)
    # nor are they missed where they would be frozen
    assert not list(
        p
        for p in build_backbone("mobilenet_v2", out_features=["res3"], freeze_at=5).parameters()
        if p.requires_grad
    )


class Skipping(nn.Module):
    """Its last stage looks back beyond the one before."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.res4, self.res5 = (nn.Conv2d(3, 3, 1) for _ in range(3))
        self.head = nn.Linear(3, 1)

    def forward(self, x: Any) -> Any:
        stem = self.stem(x)
        return self.head(self.res5(self.res4(stem) + stem).mean([2, 3]))


def test_a_network_that_cannot_be_cut_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = (Stage("res4", "res4", 3, 16), Stage("res5", "res5", 3, 32))
    entry = Architecture("skipping", lambda _: Skipping(), "head", "stem", stages)
    monkeypatch.setitem(ARCHITECTURES, "skipping", entry)
    with pytest.raises(UserError, match="res5 of skipping needs more than res4; use FPN, not C4"):
        trace_last_stage("skipping", "BN")


@pytest.fixture
def c4_config(
    write_config: Callable[..., Path], write_classifier: Callable[..., Classifier], tmp_path: Path
) -> Callable[..., Path]:
    """Return a function that writes a config of a tiny C4 detector of an architecture."""

    def write(arch: Any, **model: Any) -> Any:
        write_classifier(tmp_path / "in.pth", arch)
        convert(tmp_path / "in.pth", tmp_path / "backbone.pth")
        return write_config(
            _BASE_=str(ROOT / "configs/detection/base_small_rcnn_c4.yaml"),
            MODEL={"WEIGHTS": str(tmp_path / "backbone.pth"), **model},
            SOLVER={"MAX_ITER": 2, "STEPS": [], "IMS_PER_BATCH": 2, "BASE_LR": 0.001},
            TEST={"PICTURES": 0},
        )

    return write


def place(name: Any, own: Any) -> Any:
    return "backbone." + name if "backbone." + name in own else "roi_heads.res5." + name


def test_a_mask_rcnn_c4_trains_from_mobilenet(
    c4_config: Callable[..., Path], tmp_path: Path
) -> None:
    path = c4_config("mobilenet_v2", RESNETS={"NORM": "BN"})
    overrides = ["SOLVER.PRECISION", "bf16", "MODEL.CHANNELS_LAST", "True"]
    cfg, card = load_config(str(path), overrides)
    Path(cfg.OUTPUT_DIR).mkdir()
    trainer = RobustTrainer(cfg, card)
    trainer.resume_or_load(resume=False)
    file = load_checkpoint(tmp_path / "backbone.pth")["model"]
    before = {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}
    places = {name: place(name, before) for name in file}
    assert all(torch.equal(before[places[name]], file[name]) for name in file)
    assert {p.split(".")[0] for p in places.values()} == {"backbone", "roi_heads"}
    trainer.train()
    losses = {k: v for k, (v, _) in trainer.storage.latest().items() if k.startswith("loss_")}
    assert set(losses) >= {"loss_cls", "loss_box_reg", "loss_mask", "loss_rpn_cls", "loss_rpn_loc"}
    assert all(torch.isfinite(torch.tensor(value)) for value in losses.values())
    # as processes that share their gradients need it: every weight is used and moves
    after = dict(trainer.model.named_parameters())
    assert all(p.grad is not None for p in after.values() if p.requires_grad)
    for name in ("backbone.body.features.13", "roi_heads.res5.body.features.14"):
        moved = [n for n in after if n.startswith(name) and not torch.equal(after[n], before[n])]
        assert moved


@pytest.mark.parametrize("given, taken", [(["res4", "res5"], "res4"), (["res3", "res4"], "res3")])
def test_a_head_that_does_not_start_from_res4(
    given: Any, taken: str, write_config: Callable[..., Path]
) -> None:
    path = write_config(_BASE_=str(ROOT / "configs/detection/base_small_rcnn_c4.yaml"))
    keys = ["MODEL.RESNETS.OUT_FEATURES", str(given), "MODEL.ROI_HEADS.IN_FEATURES", f"['{taken}']"]
    cfg, _ = load_config(str(path), keys)
    with pytest.raises(UserError, match="a C4 head computes res5 from res4"):
        build_model(cfg)


def test_a_part_of_res5_is_missed(c4_config: Callable[..., Path], tmp_path: Path) -> None:
    cfg, _ = load_config(str(c4_config("mobilenet_v2")))
    content = load_checkpoint(cfg.MODEL.WEIGHTS)
    del content["model"]["body.features.18.0.weight"]
    save_checkpoint(tmp_path / "part.pth", content)
    with pytest.raises(UserError, match=r"1 tensors missing, 0 unexpected, .*features\.18\.0\.w"):
        RobustCheckpointer(build_model(cfg)).load(str(tmp_path / "part.pth"))
