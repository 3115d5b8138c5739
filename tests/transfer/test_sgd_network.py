"""What of a network learns, and by which rate."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from robust_det import load_classifier
from robust_det.checkpoints.model_file import read_model
from robust_det.classification.adversarial_step import TrainingStep
from robust_det.classification.starting import Start
from robust_det.core.errors import UserError
from robust_det.data.transfer.catalogue import facts_of
from robust_det.models import Classifier
from robust_det.models.stages import empty_network, tensor_stages
from robust_det.transfer.sgd.network import build_network, card_of, learning_groups, still_modules
from tests.support.sgd_transfer import CLASSES, Transfer, state_of, tensors

CPU = torch.device("cpu")
STAGES = tensor_stages("resnet10_narrow")
ORDER = ("stem", "res2", "res3", "res4", "res5", "head")
SGD_HEAD: dict[str, Any] = {
    "TRANSFER__MODE": "fixed-feature",
    "TRANSFER__HEAD": "sgd",
    "OPTIM__LR": 0.1,
}
WHOLE: dict[str, Any] = {"TRANSFER__MODE": "full-network", "OPTIM__LR": 0.1}


def changed(transfer: Transfer, **settings: Any) -> set[str]:
    """Return the tensors that training changed."""
    after, before = tensors(transfer(**settings).weights), tensors(transfer.backbone)
    return {
        name
        for name, value in after.items()
        if value.shape != before[name].shape or not torch.equal(value, before[name])
    }


def is_statistic(name: str) -> bool:
    return "running" in name or "num_batches" in name


def test_a_head_alone_leaves_all_else_bit_for_bit(transfer: Transfer) -> None:
    assert changed(transfer, **SGD_HEAD) == {"fc.weight", "fc.bias"}


def test_drifting_norms_change_their_statistics_and_no_weight(transfer: Transfer) -> None:
    found = changed(transfer, **SGD_HEAD, PAPER__DRIFTING_NORMS=True)
    assert found == {"fc.weight", "fc.bias", *filter(is_statistic, STAGES)}


@pytest.mark.parametrize("last", ["stem", "res3", "res5"])
def test_stages_up_to_the_frozen_one_stay_with_their_statistics(
    last: str, transfer: Transfer
) -> None:
    frozen = ORDER[: ORDER.index(last) + 1]
    found = changed(transfer, **WHOLE, TRANSFER__FREEZE=last, TRAIN__EPOCHS=1)
    assert found == {name for name, stage in STAGES.items() if stage not in frozen}


def test_without_freezing_all_of_the_network_learns(transfer: Transfer) -> None:
    assert changed(transfer, **WHOLE, TRAIN__EPOCHS=1) == set(STAGES)


def test_an_update_is_as_large_as_its_stages_share_of_the_rate(
    root: Path, classifier_file: Path, tmp_path: Path
) -> None:
    one_step: dict[str, Any] = {"TRAIN__EPOCHS": 1, "TRAIN__BATCH_SIZE": 30, "OPTIM__MOMENTUM": 0.0}
    updates = []
    for decay in (1.0, 0.25):
        transfer = Transfer(root, classifier_file, tmp_path / f"{decay}")
        after = transfer(**WHOLE, **one_step, TRANSFER__LAYER_DECAY=decay, OPTIM__WEIGHT_DECAY=0)
        start = Start("", "", read_model(classifier_file))
        torch.manual_seed(0)  # the seed of the run
        card = after.classifier.card
        assert card is not None
        before, _ = build_network(transfer.cfg(**WHOLE), card, start, CPU, new_head=True)
        own = before.body.state_dict()
        updates.append({k: v - own[k] for k, v in after.classifier.body.state_dict().items()})
    for name, stage in STAGES.items():
        if not is_statistic(name):
            factor = 0.25 ** (len(ORDER) - 1 - ORDER.index(stage))
            plain, decayed = updates[0][name], updates[1][name]
            assert plain.abs().max() > 0
            # weights are of order one, and what is left of their differences is rounded
            torch.testing.assert_close(decayed, factor * plain, rtol=1e-3, atol=3e-7)


def test_the_result_is_read_as_a_classifier_of_the_sets_classes(transfer: Transfer) -> None:
    outcome = transfer(**WHOLE, TRAIN__EPOCHS=1)
    read = load_classifier(outcome.weights)
    assert read.card is not None and read.card.classes == CLASSES
    assert (read.card.norm, read.card.eps, read.card.image_size) == ("l2", 0.5, 32)
    assert read.card.mean == pytest.approx((0.41, 0.52, 0.63))
    images = torch.rand(2, 3, 32, 32)
    assert not outcome.classifier.training
    assert torch.equal(read(images), outcome.classifier(images))
    said = state_of(outcome.weights)["transfer"]
    assert said["mode"] == "full-network"
    assert said["manifest"] == transfer.data(**WHOLE).manifest.digest


def test_a_backbone_of_unknown_eps_gives_a_classifier_of_unknown_eps(
    root: Path, classifier_file: Path, tmp_path: Path
) -> None:
    bare = tmp_path / "bare.pth"
    torch.save(tensors(classifier_file), bare)
    outcome = Transfer(root, bare, tmp_path / "run")(**SGD_HEAD, TRAIN__EPOCHS=1)
    card = load_classifier(outcome.weights).card
    assert card is not None and card.eps is None and card.classes == CLASSES


def test_the_last_layer_is_new_where_the_classes_are_the_same(
    transfer: Transfer, classifier_file: Path
) -> None:
    model = read_model(classifier_file)
    card = dataclasses.replace(model.card, classes=model.classes)
    start = Start("", "", model)
    torch.manual_seed(1)  # the file's own was drawn by 0
    network, said = build_network(transfer.cfg(**WHOLE), card, start, CPU, new_head=True)
    own = network.body.state_dict()
    assert said == "the head of 4 classes is new"
    assert {k for k in own if not torch.equal(own[k], model.state[k])} == {"fc.weight", "fc.bias"}


def test_hidden_layers_of_a_head_that_no_file_gives_are_refused_where_they_would_stay(
    transfer: Transfer,
) -> None:
    body = empty_network("vgg16_bn", 3)
    state = {k: v for k, v in body.state_dict().items() if not k.startswith("classifier.")}
    start = Start("b.pth", "", dataclasses.replace(read_model(transfer.backbone), arch="vgg16_bn"))
    without = dataclasses.replace(start, model=dataclasses.replace(start.model, state=state))
    with pytest.raises(UserError, match=r"b\.pth has no head, .* classifier\.\d.* stay random"):
        learning_groups(transfer.cfg(**SGD_HEAD), Classifier(body), without, head_alone=True)
    assert learning_groups(transfer.cfg(**WHOLE), Classifier(body), without, head_alone=False)


def test_the_papers_head_of_dtd_has_outputs_without_a_class(transfer: Transfer, root: Path) -> None:
    def of_dtd(data: Any) -> Any:
        return dataclasses.replace(data, facts=facts_of("dtd"))

    quirk: dict[str, Any] = {"DATA__SET": "dtd", "PAPER__DTD_OUTPUTS": True, **WHOLE}
    start = Start("", "", read_model(transfer.backbone))
    data = of_dtd(transfer.data(**WHOLE))
    card = card_of(transfer.cfg(**quirk), start, data)
    assert len(card.classes) == 57 and card.classes[:4] == (*CLASSES, "unused 4")
    assert card_of(transfer.cfg(**WHOLE), start, data).classes == CLASSES


def test_one_step_of_the_head_is_that_of_its_gradient_on_frozen_features(
    transfer: Transfer,
) -> None:
    one_step: dict[str, Any] = {**SGD_HEAD, "TRAIN__EPOCHS": 1, "TRAIN__BATCH_SIZE": 30}
    cfg, backbone = transfer.cfg(**one_step), read_model(transfer.backbone)
    images = transfer.data(**one_step).augmented(cfg, "training")
    pixels = torch.stack([images[0, i][0] for i in range(30)]).float() / 255
    frozen = backbone.body()
    frozen.fc = torch.nn.Identity()
    mean, std = (torch.tensor(each)[:, None, None] for each in (backbone.mean, backbone.std))
    features = frozen((pixels - mean) / std).detach().double().numpy()

    start = Start("", "", backbone)
    torch.manual_seed(0)  # the seed of the run
    outcome = transfer(**one_step)
    card = outcome.classifier.card
    assert card is not None
    torch.manual_seed(0)
    before, _ = build_network(cfg, card, start, CPU, new_head=True)
    weight, bias = (p.detach().double().numpy() for p in before.body.fc.parameters())
    # the gradient of the mean cross-entropy, by hand
    logits = features @ weight.T + bias
    shares = np.exp(logits - logits.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    errors = (shares - np.eye(3)[images.targets]) / 30
    for name, value, gradient in (
        ("fc.weight", weight, errors.T @ features),
        ("fc.bias", bias, errors.sum(0)),
    ):
        expected = value - 0.1 * (gradient + 5e-4 * value)
        found = outcome.classifier.body.state_dict()[name].numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_one_step_of_adamw_moves_each_weight_of_the_head_by_the_rate(transfer: Transfer) -> None:
    one_step: dict[str, Any] = {
        **SGD_HEAD,
        "OPTIM__NAME": "adamw",
        "OPTIM__DECAY_NORMS": False,
        "OPTIM__WEIGHT_DECAY": 0.5,
        "TRAIN__EPOCHS": 1,
        "TRAIN__BATCH_SIZE": 30,
    }
    start = Start("", "", read_model(transfer.backbone))
    outcome = transfer(**one_step)
    card = outcome.classifier.card
    assert card is not None
    torch.manual_seed(0)  # the seed of the run
    before, _ = build_network(transfer.cfg(**one_step), card, start, CPU, new_head=True)
    for after, old, kept in (
        (outcome.classifier.body.fc.weight, before.body.fc.weight, 1 - 0.1 * 0.5),
        (outcome.classifier.body.fc.bias, before.body.fc.bias, 1),
    ):
        moved = (after - kept * old).detach().abs()
        # by less where the gradient is none, as of a feature that is 0
        assert float(moved.max()) == pytest.approx(0.1, rel=1e-4)
        assert (moved > 0.0999).float().mean() > 0.5


@pytest.mark.parametrize("arch", ["convnext_tiny", "mobilenet_v2", "vgg16_bn"])
@pytest.mark.parametrize("last", ["none", "res2", "res4"])
def test_what_is_frozen_is_still_in_every_kind_of_network(
    arch: str, last: str, transfer: Transfer
) -> None:
    cfg = transfer.cfg(**WHOLE, TRANSFER__FREEZE=last, TRANSFER__LAYER_DECAY=0.5)
    model = Classifier(empty_network(arch, 3))
    start = Start("", "", dataclasses.replace(read_model(transfer.backbone), arch=arch))
    groups = learning_groups(cfg, model, start, head_alone=False)
    still = still_modules(cfg, model, arch, head_alone=False)
    learning = {id(p) for group in groups for p in group["params"]}
    assert sum(len(group["params"]) for group in groups) == len(learning)
    for module in model.body.modules():
        own = list(module.parameters(recurse=False))
        assert {id(p) in learning for p in own} == {p.requires_grad for p in own}
        if own:
            assert (module in still) == (not any(p.requires_grad for p in own))
    factors = [group["factor"] for group in groups]
    assert factors[-1] == 1 and factors == sorted(set(factors))
    without = arch == "vgg16_bn"  # its res5 is a pooling
    assert len(factors) == {"none": 6, "res2": 4, "res4": 2}[last] - without


def test_mixed_targets_have_a_column_for_each_output(
    transfer: Transfer, monkeypatch: pytest.MonkeyPatch
) -> None:
    call, seen = TrainingStep.__call__, list[torch.Tensor]()

    def noted(self: TrainingStep, images: torch.Tensor, targets: torch.Tensor, *rest: Any) -> Any:
        seen.append(targets)
        return call(self, images, targets, *rest)

    monkeypatch.setattr(TrainingStep, "__call__", noted)
    keys: dict[str, Any] = {"DATA__MIXUP": 1.0, "DATA__REPEATS": 2, "DATA__LIGHTING": 0.1}
    found = changed(transfer, **SGD_HEAD, **keys, TRAIN__EPOCHS=1, TRAIN__BATCH_SIZE=10)
    assert found == {"fc.weight", "fc.bias"}
    assert seen and {targets.shape for targets in seen} == {(10, 3)}
    torch.testing.assert_close(torch.cat(seen).sum(1), torch.ones(10 * len(seen)))
    assert any(((targets > 0) & (targets < 1)).any() for targets in seen)
