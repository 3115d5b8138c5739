"""Networks of timm as backbones: their stages are those of timm's own features_only."""

import copy
import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from detectron2.layers import FrozenBatchNorm2d
from torch import nn

from robust_det.backbones.builders import build_backbone, given_features
from robust_det.backbones.frozen_folding import fold_frozen_norms
from robust_det.backbones.norms import replace_batch_norms
from robust_det.core.errors import UserError
from robust_det.detection.config import detection_defaults
from robust_det.models import ARCHITECTURES, Architecture, get_architecture
from robust_det.models.registry import Stage
from tests.support.timm_networks import features_of_timm, unsettled

timm = pytest.importorskip("timm")

NETWORKS = [
    "convnextv2_atto",  # global response norm
    "resnet10t",  # a deep stem, average pooling in shortcuts
    "resnetblur18",  # filters before strides, which no file holds
    "regnetx_002",  # norms with activations in them
    "tf_mobilenetv3_small_minimal_100",  # padded by the size of the image
    "test_efficientnet_gn",
    "test_byobnet",  # squeeze-and-excitation
    "dla46_c",  # stages that are trees
    "test_nfnet",  # no norms, standardised weights
]


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max())


def loaded(name: str, **settings: Any) -> Any:
    """A backbone with a classifier's tensors, and those."""
    network = unsettled(timm.create_model(name, num_classes=3))
    backbone = build_backbone(f"timm:{name}", **settings)
    state = network.state_dict()
    own = backbone.state_dict()
    backbone.load_state_dict({n: state[n.removeprefix("body.")] for n in own})
    return backbone.eval(), state


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_stages_are_those_of_features_only(name: str) -> None:
    backbone, state = loaded(name)
    theirs = features_of_timm(name, state)
    folded = copy.deepcopy(backbone)
    norms = sum(isinstance(m, FrozenBatchNorm2d) for m in backbone.modules())
    assert norms == sum(isinstance(m, nn.BatchNorm2d) for m in timm_body(name, backbone))
    # all but those behind the convolutions that pad for themselves
    count = fold_frozen_norms(folded)
    assert count == norms or (name.startswith("tf_") and 0 < count < norms)
    folded.train()  # where folding counts; nothing is random
    # trees whose branches have one size only where strides divide the image's
    assert backbone.size_divisibility == (32 if name == "dla46_c" else 0)
    for size in [(64, 64), (64, 96) if backbone.size_divisibility else (75, 101)]:
        images = torch.randn(2, 3, *size)
        expected = theirs(images)
        for network in (backbone, folded):
            found = network(images)
            assert list(found) == ["res2", "res3", "res4", "res5"]
            for stage, features in found.items():
                assert features.shape == expected[stage].shape
                assert difference(features, expected[stage]) < 1e-4, (stage, size)
    strides = {n: (s.channels, s.stride) for n, s in backbone.output_shape().items()}
    info = {s.name: (s.channels, s.stride) for s in get_architecture(f"timm:{name}").stages}
    assert strides == info


def timm_body(name: str, backbone: nn.Module) -> list[nn.Module]:
    """timm's modules of the same names as the backbone's."""
    modules = dict(timm.create_model(name, num_classes=1).named_modules())
    names = (n.removeprefix("body.") for n, _ in backbone.named_modules())
    return [modules[n] for n in names if n in modules]


@pytest.mark.parametrize("norm, kind", [("BN", nn.BatchNorm2d), ("GN", nn.GroupNorm)])
def test_other_norms_keep_the_activation(norm: str, kind: type[nn.Module]) -> None:
    backbone = build_backbone("timm:regnetx_002", norm=norm)
    (bn,) = [m for n, m in backbone.named_modules() if n == "body.stem.bn"]
    assert isinstance(bn, kind)
    x = torch.randn(4, 32, 5, 5)
    for training in (True, False):
        bn.train(training)
        assert torch.equal(bn(x), kind.forward(bn, x).relu())
    images = torch.randn(2, 3, 64, 64)
    copies = [copy.deepcopy(backbone), pickle.loads(pickle.dumps(backbone))]
    with torch.no_grad():
        expected = backbone.eval()(images)["res5"]
        assert all(torch.equal(twin.eval()(images)["res5"], expected) for twin in copies)


@pytest.fixture
def add(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Return a function that registers a network of timm with other arguments."""

    def register(name: str, own: str, **arguments: Any) -> str:
        entry = replace(
            get_architecture(f"timm:{name}"),
            name=own,
            build=lambda classes: timm.create_model(name, num_classes=classes, **arguments),
        )
        monkeypatch.setitem(ARCHITECTURES, own, entry)
        return own

    return register


def test_what_is_frozen_leaves_nothing_to_chance(add: Callable[..., str]) -> None:
    arch = add("test_convnext", "often_dropped", drop_path_rate=0.9)
    backbone = build_backbone(arch, freeze_at=3).train()
    nn.init.ones_(backbone.get_parameter("body.stages.1.blocks.1.gamma"))
    images = torch.randn(4, 3, 64, 64)
    with torch.no_grad():
        first, second = backbone(images), backbone(images)
    assert torch.equal(first["res3"], second["res3"])
    assert not torch.equal(first["res5"], second["res5"])
    learning = {n.split(".")[2] for n, p in backbone.named_parameters() if p.requires_grad}
    assert learning == {"2", "3"}  # of body.stages
    assert not backbone.get_parameter("body.stem.0.weight").requires_grad


def test_statistics_that_cannot_be_frozen_are_refused() -> None:
    from timm.layers import EvoNorm2dB0

    network = nn.Sequential(EvoNorm2dB0(4))
    replace_batch_norms(network, ["0"], "BN")
    assert type(network[0]) is EvoNorm2dB0
    with pytest.raises(UserError, match=r"^0 is a EvoNorm2dB0, of which there is no frozen kind;"):
        replace_batch_norms(network, ["0"], "FrozenBN")


@pytest.mark.parametrize(
    "name, reason",
    [
        ("test_vit", "it takes images of 160 px alone"),
        ("swin_tiny_patch4_window7_224", "it takes images of 224 px alone"),
        ("test_mambaout", "its features are NHWC, and a detector's are NCHW"),
        ("hrnet_w18_small", "timm has its features with features_only alone, as 'stage1'"),
    ],
)
def test_a_classifier_is_no_backbone(name: str, reason: str) -> None:
    line = f"timm:{name} is no backbone: {reason}; it is a classifier, for evaluation and transfer"
    with pytest.raises(UserError) as caught:
        build_backbone(f"timm:{name}")
    assert str(caught.value) == line
    cfg = detection_defaults()
    cfg.MODEL.BACKBONE.NAME, cfg.MODEL.BACKBONE.ARCH = "build_robust_fpn_backbone", f"timm:{name}"
    with pytest.raises(UserError) as caught:
        given_features(cfg)
    assert str(caught.value) == line


def test_channels_that_come_last_do_not_slip_through(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = tuple(
        Stage(f"res{i + 2}", f"stages.{i}", width, 4 * 2**i)
        for i, width in enumerate((16, 32, 48, 64))
    )
    own = get_architecture("timm:test_mambaout")
    entry: Architecture = replace(own, name="last", stages=stages, stem="stem", behind=("head",))
    monkeypatch.setitem(ARCHITECTURES, "last", entry)
    with pytest.raises(
        UserError, match=r"entry of last: res2, 'stages.0', has 16 channels at stride 2, not 16"
    ):
        build_backbone("last")


def test_stages_that_are_defined_in_another_order_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Crossed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.late, self.stem, self.res2 = (nn.Conv2d(3, 3, 4, 4) for _ in range(3))
            self.head = nn.Linear(3, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.res2(self.late(self.stem(x))).mean((2, 3)))

    stages = (Stage("res2", "res2", 3, 16),)
    entry = Architecture("crossed", lambda _: Crossed(), "head", "stem", stages, behind=("late",))
    monkeypatch.setitem(ARCHITECTURES, "crossed", entry)
    with pytest.raises(UserError, match="'late' is defined in head, and res2 is not computed so"):
        build_backbone("crossed", out_features=["res2"])
