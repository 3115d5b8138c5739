"""Which settings are chosen, by which images, and what the last run is trained on."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.metrics import balanced_accuracy_score

from robust_det import load_classifier
from robust_det.attacks import PGD
from robust_det.classification.attack_settings import eval_attack
from robust_det.classification.methods import Inner, PGDTraining
from robust_det.classification.methods.trades import Trades
from robust_det.core.config.reading import CfgNode
from robust_det.core.errors import UserError
from robust_det.core.files import sha256_file
from robust_det.data.classification.image_list import Batch
from robust_det.data.transfer.catalogue import MEAN_PER_CLASS
from robust_det.training.engine import Update
from robust_det.transfer.settings import Choice
from robust_det.transfer.sgd.choosing import Judged, best_of, remarks_on
from robust_det.transfer.sgd.one_run import Ended
from robust_det.transfer.sgd.task import TransferTask
from tests.support.sgd_transfer import TEST, TRAIN, Transfer, colours, state_of, tensors

SGD_HEAD: dict[str, Any] = {"TRANSFER__MODE": "fixed-feature", "TRANSFER__HEAD": "sgd"}
SEVERAL: dict[str, Any] = {"TRANSFER__MODE": "full-network", "OPTIM__LR": [0.01, 0.0001]}
ONE: dict[str, Any] = {**SGD_HEAD, "OPTIM__LR": 0.1}
ENDED = Ended(Path(), 0.0, 0.0, 0, 0, 0.0)


def by_class(data: Any) -> Any:
    """Report the set by its per-class mean."""
    facts = dataclasses.replace(data.facts, headline=MEAN_PER_CLASS)
    return dataclasses.replace(data, facts=facts)


def balanced(weights: Path, data: Any, cfg: Any, split: str) -> float:
    """Return scikit-learn's balanced accuracy of a classifier's file, in percent."""
    classifier, images = load_classifier(weights), data.images(cfg, split)
    pixels = torch.stack([images[0, i][0] for i in range(len(images))]).float() / 255
    predicted = classifier(pixels).argmax(1).numpy()
    return 100 * float(balanced_accuracy_score(images.targets, predicted))


def test_other_test_labels_change_nothing(
    transfer: Transfer, classifier_file: Path, tmp_path: Path
) -> None:
    turned = Transfer(colours(tmp_path / "turned", 1), classifier_file, tmp_path / "other")
    one, other = transfer(**SEVERAL), turned(**SEVERAL)
    assert one.on == other.on == "validation"
    assert one.chosen == other.chosen and one.tried == other.tried
    assert len({each.accuracy for each in one.tried}) == 2
    ours, theirs = tensors(one.weights), tensors(other.weights)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_the_best_on_validation_is_trained_on_training_and_validation_images(
    transfer: Transfer,
) -> None:
    outcome = transfer(**SEVERAL, change=by_class)
    cfg = transfer.cfg(**SEVERAL)
    data = transfer.data(**SEVERAL)
    assert data.used.sizes == {"train": 24, "val": 6, "test": 3 * TEST}
    runs = {lr: transfer.output / f"choice/lr{lr:g}_wd0.0005" for lr in (0.01, 0.0001)}
    for each in outcome.tried:
        folder = runs[each.settings["lr"]]
        assert balanced(folder / "final.pth", data, cfg, "val") == pytest.approx(each.accuracy)
        assert state_of(folder / "last.pth")["progress"][0]["step"] == 2 * (24 // 6)
        assert state_of(folder / "last.pth")["run"]["trained"] == "train"
    best = max(outcome.tried, key=lambda one: one.accuracy)
    assert outcome.chosen == {"lr": 0.01, "weight_decay": 0.0005, "epochs": 2} == best.settings
    assert outcome.remarks == ["The best learning rate, 0.01, is the largest of those tried."]
    last = state_of(outcome.weights)
    assert outcome.weights == transfer.output / "final/final.pth"
    assert last["step"] == 2 * (3 * TRAIN // 6) and last["config"]["OPTIM"]["LR"] == 0.01
    assert not (transfer.output / "final/best.pth").exists()
    assert "clean_top1" not in (transfer.output / "final/metrics.jsonl").read_text()


def test_one_setting_is_trained_at_once(transfer: Transfer) -> None:
    outcome = transfer(**ONE)
    assert outcome.on == "none" and not outcome.tried and not outcome.remarks
    assert sorted(path.name for path in transfer.output.iterdir()) == ["final"]
    assert outcome.seconds == state_of(transfer.output / "final/last.pth")["progress"][0]["seconds"]


def test_the_quirk_chooses_on_test_what_was_trained_on_all(transfer: Transfer) -> None:
    quirk: dict[str, Any] = {**SEVERAL, "PAPER__SELECT_ON_TEST": True}
    outcome = transfer(**quirk, change=by_class)
    assert outcome.on == "test"
    cfg, data = transfer.cfg(**quirk), transfer.data(**quirk)
    best = max(outcome.tried, key=lambda one: one.accuracy)
    assert balanced(outcome.weights, data, cfg, "test") == pytest.approx(best.accuracy)
    assert state_of(outcome.weights)["step"] == 2 * (3 * TRAIN // 6)
    # the run that was chosen is the last one, which would come out the same
    assert outcome.weights == transfer.output / "choice/lr0.01_wd0.0005/final.pth"
    once_more = Transfer(transfer.root, transfer.backbone, transfer.output.parent / "again")
    same = once_more(**{**SEVERAL, "OPTIM__LR": 0.01})
    ours, theirs = tensors(outcome.weights), tensors(same.weights)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def scripted(monkeypatch: pytest.MonkeyPatch, scores: Mapping[int, float]) -> None:
    """Let validations find accuracies by epoch."""
    monkeypatch.setattr(TransferTask, "score", lambda self, values: scores[values["epoch"]])


def test_patience_stops_the_choice_and_says_how_long_to_train(
    transfer: Transfer, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(monkeypatch, {1: 40, 2: 60, 3: 50, 4: 60, 5: 90})
    patient: dict[str, Any] = {
        **ONE,
        "TRAIN__EPOCHS": 9,
        "TRANSFER__PATIENCE": 2,
        "OPTIM__SCHEDULE": "cosine",
    }
    outcome = transfer(**patient)
    assert outcome.chosen["epochs"] == 2 and outcome.tried[0].accuracy == 60
    chosen = transfer.output / "choice/lr0.1_wd0.0005"
    assert state_of(chosen / "last.pth")["step"] == 4 * 4
    assert state_of(chosen / "best.pth")["step"] == 2 * 4
    assert state_of(outcome.weights)["step"] == 2 * 5
    # its rate falls as it did there, along the cosine of nine epochs
    last = json.loads((transfer.output / "final/metrics.jsonl").read_text().splitlines()[-1])
    half = 0.1 * (1 + math.cos(math.pi * (2 * 5 - 0.5) / (9 * 5))) / 2
    assert last["epoch"] == 2 and last["lr"] == pytest.approx(half)
    # finished, and known to be
    before = sha256_file(chosen / "last.pth"), sha256_file(outcome.weights)
    again = transfer(**patient, resume=True)
    assert (sha256_file(chosen / "last.pth"), sha256_file(again.weights)) == before
    assert again.chosen == outcome.chosen and again.tried == outcome.tried


def test_the_quirk_of_the_best_epoch_returns_its_weights(
    transfer: Transfer, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(monkeypatch, {1: 50, 2: 70, 3: 60})
    outcome = transfer(**{**ONE, "TRAIN__EPOCHS": 3, "PAPER__BEST_EPOCH": True})
    assert outcome.weights.name == "best.pth" and state_of(outcome.weights)["step"] == 2 * 5
    assert outcome.chosen["epochs"] == 2 and outcome.on == "none"
    assert outcome.remarks == ["The weights are those of epoch 2, the best on the test images."]
    assert state_of(outcome.weights)["run"]["judged"] == "test"


def test_of_equals_the_lower_rate_and_then_the_lower_decay_is_chosen() -> None:
    choices = [Choice(0.1, 0.0), Choice(0.01, 0.1), Choice(0.01, 0.0), Choice(0.001, 0.0)]
    judged = [Judged(choice, ENDED, 80.0, 1) for choice in choices[:3]]
    judged.append(Judged(choices[3], ENDED, 79.0, 1))
    assert best_of(judged).choice == Choice(0.01, 0.0)


def test_remarks_are_of_edges_alone(transfer: Transfer) -> None:
    cfg = transfer.cfg(**ONE)
    choices = [Choice(lr, decay) for lr in (0.1, 0.2, 0.3) for decay in (0, 1e-3)]
    judged = [Judged(choice, ENDED, float(choice.lr < 0.3), 2) for choice in choices]
    assert best_of(judged) == judged[0]  # of the lowest rate, and 0.2 is as good
    assert remarks_on(cfg, judged, judged[0]) == [
        "The best weight decay, 0, is the smallest of those tried."
    ]
    assert remarks_on(cfg, judged[:1], judged[0]) == []
    patient = transfer.cfg(**ONE, TRANSFER__PATIENCE=1)
    assert remarks_on(patient, judged[:1], judged[0]) == [
        "The best epoch is the last of 2: more may be better still."
    ]


def test_a_rate_that_diverges_is_not_chosen(transfer: Transfer) -> None:
    wild: dict[str, Any] = {**SGD_HEAD, "TRANSFER__MODE": "full-network", "OPTIM__WEIGHT_DECAY": 0}
    del wild["TRANSFER__HEAD"]
    outcome = transfer(**wild, OPTIM__LR=[1e30, 0.01])
    assert outcome.chosen["lr"] == 0.01
    assert [(each.converged, each.accuracy > 0) for each in outcome.tried] == [
        (False, False),
        (True, True),
    ]
    assert any("diverged at the learning rate 1e+30" in remark for remark in outcome.remarks)
    alone = Transfer(transfer.root, transfer.backbone, transfer.output.parent / "alone")
    with pytest.raises(UserError, match=r"lower OPTIM\.LR"):
        alone(**wild, OPTIM__LR=[1e30, 1e31])


def test_nothing_is_chosen_without_a_validation_image(transfer: Transfer) -> None:
    alone: dict[str, Any] = {**SEVERAL, "TRANSFER__SUBSET": 1, "TRAIN__BATCH_SIZE": 3}
    with pytest.raises(UserError, match="no class with two training images"):
        transfer(**alone)
    assert transfer(**{**alone, "OPTIM__LR": 0.1}).on == "none"


def test_the_whole_network_starts_from_the_head_that_was_trained_first(
    transfer: Transfer, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: dict[Path, dict[str, torch.Tensor]] = {}
    update = TransferTask.update

    def watched(self: TransferTask, batch: Batch, step: int) -> Update:
        if step == 0:
            state = self.model.body.state_dict()
            begun[self.run.folder] = {name: value.clone() for name, value in state.items()}
        return update(self, batch, step)

    monkeypatch.setattr(TransferTask, "update", watched)
    outcome = transfer(TRANSFER__MODE="head-then-all", OPTIM__LR=[0.3, 0.001], TRAIN__EPOCHS=1)
    head, out = transfer.output / "head", transfer.output
    at = "lr{:g}_wd0.0005/final.pth".format
    pairs = {out / "final": head / "final/final.pth"}
    for lr in (0.3, 0.001):  # which has not seen the images that choose
        best = head / "choice" / at(outcome.chosen["head_lr"])
        pairs[(out / "choice" / at(lr)).parent] = best
    for folder, file in pairs.items():
        expected = tensors(file)
        assert all(torch.equal(begun[folder][name], expected[name]) for name in expected)
        assert state_of(folder / "last.pth")["run"]["started_from"] == sha256_file(file)
    backbone = tensors(transfer.backbone)
    body = {name for name in backbone if not name.startswith("fc.")}
    assert all(
        torch.equal(tensors(head / "final/final.pth")[name], backbone[name]) for name in body
    )
    assert not torch.equal(tensors(outcome.weights)["conv1.weight"], backbone["conv1.weight"])
    assert outcome.chosen.keys() == {
        *("lr", "weight_decay", "epochs"),
        *("head_lr", "head_weight_decay", "head_epochs"),
    }
    assert [sorted(each.settings)[0] for each in outcome.tried] == ["head_epochs"] * 2 + [
        "epochs"
    ] * 2


def test_adversarial_transfer_trains_on_attacked_images_and_is_judged_by_them(
    transfer: Transfer, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved: list[float] = []
    examples = PGDTraining.examples

    def watched(self: Any, inner: Inner, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        found = examples(self, inner, x, y)
        moved.extend((found - x).flatten(1).norm(dim=1).tolist())
        return found

    monkeypatch.setattr(PGDTraining, "examples", watched)
    attacked: list[float] = []

    def noted(cfg: CfgNode) -> PGD:
        attacked.append(cfg.EVAL.EPS)
        return eval_attack(cfg)

    monkeypatch.setattr("robust_det.classification.validate.eval_attack", noted)
    outcome = transfer(
        TRANSFER__MODE="head-then-all",
        OPTIM__LR=[0.1, 0.01],
        TRAIN__EPOCHS=1,
        ATTACK__EPS=0.5,
        EVAL__EPS=0.25,
    )
    assert len(moved) == 2 * (2 * 24 + 30)  # the head, then all
    assert max(moved) == pytest.approx(0.5, rel=1e-3)
    # where an image is told apart for sure, there is no gradient
    assert sum(norm > 0.49 for norm in moved) > 0.8 * len(moved)
    assert attacked == [0.25] * 4
    (line,) = (transfer.output / "choice/lr0.1_wd0.0005/metrics.jsonl").read_text().splitlines()
    accuracy = outcome.tried[-2].accuracy
    assert f'"adversarial_top1": {accuracy}' in line and '"adversarial_mean_per_class"' in line
    assert outcome.remarks[-1] == "Trained adversarially, it was chosen by accuracy under attack."


def test_adversarial_transfer_by_another_method_trains_what_is_not_frozen(
    transfer: Transfer, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    examples = Trades.examples

    def watched(self: Any, inner: Inner, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        seen.append(len(x))
        return examples(self, inner, x, y)

    monkeypatch.setattr(Trades, "examples", watched)
    outcome = transfer(
        TRANSFER__MODE="full-network",
        TRANSFER__FREEZE="res3",
        OPTIM__LR=0.1,
        TRAIN__EPOCHS=1,
        TRAIN__METHOD="trades",
        TRAIN__TRADES_BETA=6,
        TRAIN__AWP_GAMMA=0.01,
        TRAIN__CLEAN_SHARE=0.34,
        ATTACK__EPS=0.5,
    )
    assert seen == [4] * 5  # of 30 images by 6
    before, after = tensors(transfer.backbone), tensors(outcome.weights)
    body = [name for name in before if not name.startswith("fc.")]  # of other classes
    changed = {name for name in body if not torch.equal(before[name], after[name])}
    assert any(name.startswith("layer3") for name in changed)
    assert not any(name.startswith(("conv1", "bn1", "layer1", "layer2")) for name in changed)
