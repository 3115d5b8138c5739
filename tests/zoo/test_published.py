"""The tables of published models."""

import csv
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robust_det.checkpoints.backbone_file import BackboneCard
from robust_det.core.errors import UserError
from robust_det.models import ARCHITECTURES
from robust_det.zoo import published
from robust_det.zoo.published import PUBLISHED, STYLIZED, all_models, find_model, get_model
from tests.support import ROOT


def test_the_67_published_models_are_those_of_the_table() -> None:
    with open(Path(published.__file__).with_name("published.csv"), newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(PUBLISHED) == 67
    assert {m.file for m in PUBLISHED.values()} == {row["file"] for row in rows}
    assert {m.top1 for m in PUBLISHED.values()} == {float(row["imagenet_top1"]) for row in rows}
    assert all(name == model.name for name, model in all_models().items())
    # a lock and a cached file belong to one name, a download to one file
    assert len({m.file for m in all_models().values()}) == len(all_models()) == 70


@pytest.mark.parametrize("document", ["README.md", "docs/backbones.md", "CHANGELOG.md"])
def test_documents_count_them(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    counts = re.findall(r"the (\d+)\s+(?:published ImageNet )?models", text)
    assert counts and set(counts) == {str(len(PUBLISHED))}


def test_every_architecture_is_registered() -> None:
    missing = {m.arch for m in all_models().values()} - set(ARCHITECTURES)
    assert not missing


@pytest.mark.parametrize(
    "name, arch, norm, eps, top1, file",
    [
        ("resnet50_l2_eps3", "resnet50", "l2", 3.0, 62.83, "resnet50_l2_eps3.ckpt"),
        # linf is published in 1/255
        ("resnet18_linf_eps4", "resnet18", "linf", 4 / 255, 52.49, "resnet18_linf_eps4.0.ckpt"),
        (
            "wide_resnet50_2_linf_eps0.5",
            "wide_resnet50_2",
            "linf",
            0.5 / 255,
            75.82,
            "wide_resnet50_2_linf_eps0.5.ckpt",
        ),
        ("densenet161_l2_eps3", "densenet161", "l2", 3.0, 66.98, "densenet_l2_eps3.ckpt"),
        ("mobilenet_v2_l2_eps0", "mobilenet_v2", "l2", 0.0, 65.26, "mobilenet_l2_eps0.ckpt"),
        (
            "shufflenet_v2_x1_0_l2_eps3",
            "shufflenet_v2_x1_0",
            "l2",
            3.0,
            43.32,
            "shufflenet_l2_eps3.ckpt",
        ),
        ("mnasnet1_0_l2_eps0", "mnasnet1_0", "l2", 0.0, 60.97, "mnasnet_l2_eps0.ckpt"),
    ],
)
def test_a_model_knows_what_it_is(
    name: str, arch: str, norm: str, eps: Any, top1: float, file: str
) -> None:
    model = get_model(name)
    assert (model.arch, model.norm, model.top1, model.file) == (arch, norm, top1, file)
    assert model.eps == pytest.approx(eps, rel=1e-12)
    assert not model.url


def test_the_number_in_a_name_may_be_written_differently() -> None:
    assert find_model("resnet18_linf_eps4.0") is get_model("resnet18_linf_eps4")
    assert find_model("resnet50_l2_eps3.00") is get_model("resnet50_l2_eps3")
    assert find_model("resnet50_l2_eps0.250") is get_model("resnet50_l2_eps0.25")
    assert find_model("resnet50_l2_eps03.5") is None
    assert find_model("resnet50_l2_eps") is None


def test_stylized_models_have_an_address_and_a_hash() -> None:
    assert set(STYLIZED) == {
        "resnet50_stylized",
        "resnet50_stylized_imagenet",
        "resnet50_stylized_imagenet_finetuned",
    }
    assert [m.sha256_prefix for m in STYLIZED.values()] == ["c8e5653e", "2a0d100e", "ca06340c"]
    for model in STYLIZED.values():
        assert model.url.startswith("https://bitbucket.org/") and model.url.endswith(model.file)
        assert re.fullmatch(r"[0-9a-f]{8}", model.sha256_prefix)
        assert (model.arch, model.norm, model.eps, model.top1) == ("resnet50", "", 0.0, None)


def test_a_card_may_contradict_a_model() -> None:
    def card(arch: Any, norm: Any, eps: Any) -> Any:
        return BackboneCard(arch, norm, eps, (0.0,) * 3, (1.0,) * 3, "RGB", "", {})

    linf = get_model("resnet18_linf_eps4")
    assert not linf.contradiction(None)
    assert not linf.contradiction(card("resnet18", "linf", np.float32(4 / 255).item()))
    # whoever did not say how it was trained contradicts nothing
    assert not linf.contradiction(card("resnet18", "", None))
    assert linf.contradiction(card("resnet18", "l2", 4 / 255))
    expected = "holds resnet50 linf eps 8/255, not resnet18 linf eps 4/255"
    assert linf.contradiction(card("resnet50", "linf", 8 / 255)) == expected
    # standard training has no norm
    assert not get_model("resnet50_l2_eps0").contradiction(card("resnet50", "", 0.0))
    assert get_model("resnet50_l2_eps0").contradiction(card("resnet50", "l2", 0.01))


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(UserError, match=r"did you mean 'resnet50_l2_eps0\.05'") as caught:
        get_model("resnet_50_l2_eps0.05")
    assert "\n" not in str(caught.value)
