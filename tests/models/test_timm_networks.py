"""The names of timm's networks, and that they are what timm builds."""

import re
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from torch import nn

from robust_det.classification.settings import check_config, pretrain_defaults
from robust_det.core.errors import UserError
from robust_det.models import build_classifier, get_architecture
from robust_det.models.folding import FoldedNorms
from robust_det.models.heads import features_of_head, head_with
from robust_det.models.stages import empty_network, module_stages, tensor_stages
from robust_det.transfer.settings import transfer_defaults
from robust_det.transfer.sgd.network import learning_groups
from tests.support.timm_networks import unsettled

timm = pytest.importorskip("timm")


@pytest.mark.parametrize(
    "name, size, folds",
    [
        ("regnetx_002", 64, 44),  # all, with the activations behind them
        ("test_efficientnet", 64, 13),
        ("tf_mobilenetv3_small_minimal_100", 71, 29),  # not those of padding by size
        ("dla46_c", 64, 48),  # a convolution makes the logits
        ("test_vit", 160, 0),
        ("test_mambaout", 64, 0),
    ],
)
def test_logits_are_timm_s_and_folding_changes_none(name: str, size: int, folds: int) -> None:
    model = build_classifier(f"timm:{name}", 5).double()
    unsettled(model.body)
    theirs = timm.create_model(name, num_classes=5).double().eval()
    theirs.load_state_dict(model.body.state_dict())
    images = torch.rand(2, 3, size, size, dtype=torch.float64)
    expected = theirs(model.normalize(images))
    assert torch.equal(model.eval()(images), expected)
    folding = FoldedNorms(model)
    assert len(folding.folded) == folds
    with folding() as network, torch.no_grad():
        assert (network(images) - expected).abs().max() < 1e-9 * expected.abs().max()


def test_a_network_without_values_keeps_what_no_file_holds() -> None:
    network = empty_network("timm:resnetblur18", 3)
    assert all(tensor.is_meta for tensor in network.state_dict().values())
    # the binomial filter of 3 x 3
    row = torch.tensor([1.0, 2.0, 1.0]) / 4
    assert torch.equal(network.get_buffer("layer2.0.aa.filt")[0, 0], row[:, None] * row)


def test_modules_and_stages_are_told_from_feature_info() -> None:
    architecture = get_architecture("timm:tf_mobilenetv3_small_minimal_100")
    assert architecture is get_architecture("timm:tf_mobilenetv3_small_minimal_100")
    assert [s.node for s in architecture.stages] == ["blocks.0", "blocks.1", "blocks.3", "blocks.5"]
    stages = tensor_stages(architecture.name)
    assert stages["conv_stem.weight"] == "stem"
    assert stages["blocks.2.0.conv_pw.weight"] == "res4"
    assert {stages[n] for n in stages if architecture.in_head(n)} == {"head"}
    assert {n.partition(".")[0] for n, s in stages.items() if s == "head"} == {
        "conv_head",
        "classifier",
    }
    assert set(module_stages("timm:test_vit").values()) == {"stem", "head"}


@pytest.mark.parametrize(
    "name, line",
    [
        ("timm:convnextv2_ato", "timm has no network 'convnextv2_ato'; did you mean 'timm:conv"),
        ("convnextv2_atto", "unknown architecture 'convnextv2_atto'; did you mean 'timm:convnextv"),
        ("timm:resnet10t.c3_in1k", "'.c3_in1k' names weights, and an architecture has none; use "),
        ("timm:resnet50", "timm's resnet50 is an architecture of the registry: use 'resnet50'"),
        ("timm:mobilenetv2_100", "timm's mobilenetv2_100 is an architecture of the registry: use "),
        ("timm:coat_tiny", "timm's coat_tiny has modules in more than one place, such as that of "),
        ("timm:hf-hub:org/model", "timm has no network 'hf-hub:org/model'; timm.list_models() "),
        (
            "timm:deit_tiny_distilled_patch16_224",
            "timm's deit_tiny_distilled_patch16_224 makes its",
        ),
    ],
)
def test_names_that_are_refused(name: str, line: str) -> None:
    with pytest.raises(UserError, match=f"^{re.escape(line)}") as caught:
        get_architecture(name)
    assert "\n" not in str(caught.value)


def test_timm_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("robust_det.models.timm_networks._timm", lambda: None)
    with pytest.raises(UserError, match=r"^timm:test_resnet2 needs timm; pip install 'timm>=1.0'$"):
        get_architecture("timm:test_resnet2")


def test_the_size_of_images_is_the_network_s() -> None:
    cfg: Any = pretrain_defaults()
    cfg.MODEL.ARCH = "timm:test_vit"
    with pytest.raises(UserError, match="test_vit takes images of 160 px alone, not 224; let DATA"):
        check_config(cfg)
    cfg.DATA.IMAGE_SIZE = 160
    check_config(cfg)


def test_a_convolution_that_makes_logits_is_changed_like_a_linear_layer() -> None:
    head = nn.Conv2d(6, 4, 1)
    pooled, weight, bias = torch.rand(2, 6), torch.rand(3, 6), torch.rand(3)
    new = head_with(head, weight, bias)
    assert type(new) is nn.Conv2d and features_of_head(new) == 6
    assert torch.allclose(new(pooled[:, :, None, None]).flatten(1), pooled @ weight.T + bias)
    linear = head_with(nn.Linear(6, 4), weight, bias)
    assert torch.allclose(linear(pooled), pooled @ weight.T + bias)
    assert features_of_head(nn.Conv2d(6, 4, 3)) is features_of_head(nn.Identity()) is None


def test_a_network_without_stages_is_frozen_up_to_its_head() -> None:
    arch, cfg = "timm:test_vit", transfer_defaults()
    model, start = build_classifier(arch, 3), Mock()
    start.model.arch = arch
    cfg.TRANSFER.FREEZE = "stem"
    (group,) = learning_groups(cfg, model, start, head_alone=False)
    assert [id(p) for p in group["params"]] == [id(p) for p in model.body.head.parameters()]
    cfg.TRANSFER.FREEZE = "res3"
    with pytest.raises(
        UserError, match=r"^timm:test_vit has no stage res3; let TRANSFER\.FREEZE be n"
    ):
        learning_groups(cfg, model, start, head_alone=False)
