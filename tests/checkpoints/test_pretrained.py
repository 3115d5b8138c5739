from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from robust_det.checkpoints.io import load_checkpoint, save_checkpoint
from robust_det.checkpoints.model_file import read_model
from robust_det.checkpoints.pretrained import FORMAT, card_of_pretraining, require_format
from robust_det.checkpoints.state_dicts import load_state
from robust_det.core.errors import UserError
from robust_det.models import ModelCard, build_classifier

CARD = ModelCard(
    arch="resnet10_narrow",
    norm="l2",
    eps=0.5,
    mean=(0.1, 0.2, 0.3),
    std=(0.4, 0.5, 0.6),
    image_size=32,
    classes=("cat", "dog"),
)


def content(**more: Any) -> dict[str, Any]:
    torch.manual_seed(0)
    body = build_classifier(CARD.arch, 2).body
    return {"format": FORMAT, "meta": CARD.plain(), "model": body.state_dict(), **more}


def test_a_card_survives_the_file(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "x.pth", content(step=7))
    loaded = load_checkpoint(tmp_path / "x.pth")
    require_format(loaded)
    assert card_of_pretraining(loaded) == CARD and loaded["step"] == 7


def test_a_classifier_is_rebuilt_with_its_normalisation(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "x.pth", content())
    model = read_model(tmp_path / "x.pth").classifier()
    assert not model.training
    assert model.normalize.mean.flatten().tolist() == pytest.approx([0.1, 0.2, 0.3])
    x = torch.rand(2, 3, 32, 32)
    torch.manual_seed(0)
    expected = build_classifier(CARD.arch, 2, CARD.mean, CARD.std).eval()
    assert torch.equal(model(x), expected(x))


def test_the_averaged_weights_win(tmp_path: Path) -> None:
    raw = content()
    raw["ema"] = {k: v + 1 if v.is_floating_point() else v for k, v in raw["model"].items()}
    save_checkpoint(tmp_path / "x.pth", raw)
    model = read_model(tmp_path / "x.pth").classifier()
    assert torch.equal(model.body.state_dict()["fc.weight"], raw["ema"]["fc.weight"])


@pytest.mark.parametrize("damage", ["format", "model", "meta", "arch", "classes"])
def test_what_is_no_such_checkpoint(damage: str) -> None:
    raw = content()
    if damage in raw:
        raw[damage] = 5
    else:
        del raw["meta"][damage]
    with pytest.raises(UserError, match=r"not a checkpoint of|incomplete description"):
        require_format(raw)
        card_of_pretraining(raw)


def test_weights_of_another_architecture_say_what_differs() -> None:
    model = build_classifier("resnet10_narrow", 2).body
    state = dict(model.state_dict())
    before = {k: v.clone() for k, v in state.items()}
    del state["conv1.weight"]
    state["odd"] = torch.zeros(1)
    state["fc.weight"] = torch.zeros(3, 3)
    with pytest.raises(UserError) as caught:
        load_state(model, state, "x.pth")
    text = str(caught.value)
    assert text.startswith("x.pth holds weights of another architecture: ")
    for part in ("1 missing (first: conv1.weight)", "1 unexpected (first: odd)"):
        assert part in text
    assert "1 of another shape (first: fc.weight)" in text
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())


def test_files_that_hold_something_else(tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(UserError, match="holds a list, not a dictionary"):
        load_checkpoint(tmp_path / "list.pth")
    (tmp_path / "text.pth").write_text("Not a checkpoint at all: unsupported class of file\n" * 9)
    with pytest.raises(UserError, match="truncated or not a checkpoint"):
        load_checkpoint(tmp_path / "text.pth")
    for name, message in (("gone.pth", "no checkpoint at"), (".", "is a folder, not a checkpoint")):
        with pytest.raises(UserError, match=message):
            load_checkpoint(tmp_path / name)
    torch.save({"model": build_classifier("resnet10_narrow", 2)}, tmp_path / "object.pth")
    with pytest.raises(UserError, match=r"could run code \(robust_det.*Classifier\); refused"):
        load_checkpoint(tmp_path / "object.pth")
