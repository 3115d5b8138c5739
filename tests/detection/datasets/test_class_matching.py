"""Classes are told by their names: in training, in evaluation, and of a trained detector."""

import contextlib
import io
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from detectron2.structures import Boxes, Instances
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from robust_det.checkpoints.io import load_checkpoint, save_checkpoint
from robust_det.core.errors import UserError
from robust_det.data.detection.readers.coco_json import CocoSource
from robust_det.detection.config import load_config, load_evaluation_config
from robust_det.detection.datasets import number_of_classes
from robust_det.detection.datasets.class_matching import ABSENT, places_among
from robust_det.detection.datasets.registration import ground_truth, prepared_dataset, source_of
from robust_det.detection.evaluation import build_evaluator, saved_detections
from robust_det.detection.evaluation.by_name import Renumbering, say_left_out
from robust_det.detection.finetuning.jobs import evaluate, finetune, planned_length
from robust_det.detection.finetuning.training_data import training_images
from robust_det.records import read_record
from robust_det.records.detection import DetectionRecord


def turned(document: Any) -> None:
    """Give the ids of the classes in the other order: the same data under other numbers."""
    ids = sorted(c["id"] for c in document["categories"])
    new = dict(zip(ids, reversed(ids), strict=True))
    for entry in document["categories"]:
        entry["id"] = new[entry["id"]]
    for entry in document["annotations"]:
        entry["category_id"] = new[entry["category_id"]]


def fewer(document: Any) -> None:
    """Leave out every second class with its objects, and turn the rest."""
    document["categories"] = document["categories"][::2]
    kept = {c["id"] for c in document["categories"]}
    document["annotations"] = [a for a in document["annotations"] if a["category_id"] in kept]
    turned(document)


def truth_of(document: Any, classes: Sequence[str], name: str) -> tuple[list[Any], list[Any]]:
    """Return a data set's images, and what a detector with these classes gives that makes no
    mistake on them."""
    numbers = {image["file_name"]: image["id"] for image in ground_truth(name)["images"]}
    names = {c["id"]: c["name"] for c in document["categories"]}
    inputs, outputs = [], []
    for image in document["images"]:
        objects = [a for a in document["annotations"] if a["image_id"] == image["id"]]
        found = Instances((image["height"], image["width"]))
        boxes = torch.tensor([a["bbox"] for a in objects], dtype=torch.float64).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        found.pred_boxes, found.scores = Boxes(boxes), torch.full((len(objects),), 0.9)
        places = [classes.index(names[a["category_id"]]) for a in objects]
        found.pred_classes = torch.tensor(places, dtype=torch.int64)
        inputs.append({"image_id": numbers[image["file_name"]]})
        outputs.append({"instances": found})
    return inputs, outputs


@pytest.mark.parametrize("change", [None, turned, fewer])
def test_a_perfect_detector_has_an_ap_of_100(
    change: Any,
    register: Callable[..., Any],
    write_config: Callable[..., Path],
    document: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    classes = [c["name"] for c in document["categories"]]
    test = register(change)
    cfg, _ = load_config(
        str(write_config()), ["DATASETS.TEST", f"['{test}']", "MODEL.MASK_ON", "False"]
    )
    assert cfg.MODEL.ROI_HEADS.NUM_CLASSES == 8
    # it finds all that is in the images, also what the test set does not ask for
    inputs, outputs = truth_of(document, classes, test)
    evaluator = build_evaluator(cfg, test)
    evaluator.reset()
    evaluator.process(inputs, outputs)
    with contextlib.redirect_stdout(io.StringIO()):
        result = evaluator.evaluate()["bbox"]
        source = source_of(test)
        assert isinstance(source, CocoSource)
        truth = COCO(source.json_file)
        found = truth.loadRes(f"{cfg.OUTPUT_DIR}/{saved_detections(cfg)[test].path}")
        evaluation = COCOeval(truth, found, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1)
    assert result["AP"] == pytest.approx(100)
    assert len(found.anns) == len(truth.anns)
    asked = {name.removeprefix("AP-") for name in result if name.startswith("AP-")}
    assert asked == set(classes[::2] if change is fewer else classes)
    with caplog.at_level(logging.INFO, "robust_det"):
        say_left_out(cfg)
    said = [r.getMessage() for r in caplog.records if r.name.endswith("by_name")]
    expected = f"test set '{test}' has 4 of the 8 classes; 4 are not evaluated"
    assert [line[: len(expected)] for line in said] == [expected] * (change is fewer)


def test_scripts_with_detectron2s_evaluators_are_warned(
    register: Callable[..., Any],
    write_config: Callable[..., Path],
    caplog: pytest.LogCaptureFixture,
) -> None:
    config, other, less = str(write_config()), register(turned), register(fewer)
    test = ["DATASETS.TEST", f"['scenes_val', '{other}', '{less}']"]
    load_config(config)
    load_config(config, test, by_name=True)
    assert planned_length(config, test)[0] > 0
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []
    load_config(config, test)
    (warning,) = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert warning.name.startswith("robust_det.")
    message = warning.getMessage()
    assert message.startswith(f"the classes of test sets '{other}', '{less}' stand at other places")
    assert "use robust_det.detection.evaluation.build_evaluator(cfg, name)" in message


@pytest.mark.parametrize("keypoints", [False, True])
def test_training_sets_are_joined_by_names(
    keypoints: bool, register: Callable[..., Any], write_config: Callable[..., Path]
) -> None:
    def other(document: Any) -> None:
        turned(document)
        for entry in document["annotations"]:
            entry.update(keypoints=[5, 7, 2], num_keypoints=1)

    name = register(other)
    cfg, _ = load_config(str(write_config()), ["DATASETS.TRAIN", f"['scenes_train', '{name}']"])
    cfg.defrost()
    cfg.MODEL.KEYPOINT_ON = keypoints  # which takes the dictionaries of Detectron2's catalog
    cfg.MODEL.ROI_KEYPOINT_HEAD.MIN_KEYPOINTS_PER_IMAGE = 0
    classes = [c["name"] for c in prepared_dataset("scenes_train").categories]
    named = {c["id"]: c["name"] for c in prepared_dataset(name).categories}
    truth = ground_truth(name)
    expected = {
        image["id"]: [
            named[a["category_id"]] for a in truth["annotations"] if a["image_id"] == image["id"]
        ]
        for image in truth["images"]
    }
    images = [r for r in training_images(cfg) if "val" in r["file_name"]]
    assert len(images) == 6
    for record in images:
        shown = [classes[a["category_id"]] for a in record["annotations"]]
        assert shown == expected[record["image_id"]]


def renamed(old: str, new: str) -> Callable[..., None]:
    def change(document: Any) -> None:
        next(c for c in document["categories"] if c["name"] == old)["name"] = new

    return change


def test_what_differs_is_named(
    register: Callable[..., Any], write_config: Callable[..., Path], document: dict[str, Any]
) -> None:
    first = document["categories"][0]["name"]
    plural = register(renamed(first, f"{first.title()}s"))
    near = rf"'{first.title()}s' \(did you mean '{first}'\?\)"
    config = str(write_config())
    with pytest.raises(UserError, match=f"'{plural}' has {near}, which the detector has not;"):
        load_config(config, ["DATASETS.TEST", f"['{plural}']"])
    lacking = rf"'{plural}' lacks '{first}' \(did you mean '{first.title()}s'\?\) and has"
    with pytest.raises(UserError, match=lacking):
        load_config(config, ["DATASETS.TRAIN", f"['scenes_train', '{plural}']"])
    less = register(fewer)
    with pytest.raises(UserError, match=f"'{less}' lacks .*; a detector and what it is trained"):
        load_config(config, ["DATASETS.TRAIN", f"['scenes_train', '{less}']"])
    assert number_of_classes(["scenes_train", less]) == 8
    with pytest.raises(UserError, match=f"'{less}' and 'scenes_val' differ .*: 'scenes_val' has"):
        load_config(config, ["DATASETS.TRAIN", f"['{less}']"])


def test_a_trained_detector_keeps_its_own_order(
    register: Callable[..., Any], write_config: Callable[..., Path], tmp_path: Path
) -> None:
    name = register(turned)
    test = ["DATASETS.TEST", f"['scenes_val', '{name}']", "TEST.PICTURES", "1"]
    short = ["SOLVER.MAX_ITER", "2", "SOLVER.STEPS", "[]"]
    every = ["MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.0", "MODEL.MASK_ON", "False"]
    config = str(write_config())
    cfg, card = load_config(config, [*test, *short, *every])
    finetune(cfg, card, "own")
    trained = read_record(cfg.OUTPUT_DIR, DetectionRecord).metrics
    assert trained[f"{name}/bbox"] == pytest.approx(
        {**trained["scenes_val/bbox"]}, abs=1e-9, nan_ok=True
    )
    # the file says what its outputs mean, whatever training sets a config names by now
    turned_train = [*test, *short, *every, "DATASETS.TRAIN", f"['{name}']"]
    cfg, card, detector = load_evaluation_config(config, turned_train)
    evaluate(cfg, card, "again", detector)
    again = read_record(f"{cfg.OUTPUT_DIR}/eval", DetectionRecord).metrics
    for task, figures in trained.items():
        assert again[task] == pytest.approx(figures, abs=1e-9, nan_ok=True)
    other = register(renamed(prepared_dataset(name).facts.classes[2], "zebra"))
    with pytest.raises(UserError, match=f"and data set '{other}' differ .* and has 'zebra'"):
        load_evaluation_config(
            config, [*every, "DATASETS.TRAIN", f"['{other}']", "DATASETS.TEST", f"['{other}']"]
        )
    # and a run does not go on with what has changed under it
    content = load_checkpoint(detector)
    content["categories"][0]["name"], content["categories"][1]["name"] = "b", "a"
    save_checkpoint(Path(cfg.OUTPUT_DIR) / "model_final.pth", content)
    Path(cfg.OUTPUT_DIR, "record.json").unlink()
    cfg, card = load_config(config, [*test, *short, *every])
    with pytest.raises(UserError, match=r"trained for other classes .*: class 1 was 'b' and is"):
        finetune(cfg, card, "own", resume=True)


def test_panoptic_segments_are_renumbered() -> None:
    numbers = Renumbering((1, ABSENT, 0), (0, 2, 1))
    assert numbers.left_out == 1 and not numbers.changes_nothing
    ids = torch.tensor([[1, 2], [3, 4]])
    segments = [
        {"id": 1, "isthing": True, "category_id": 0},
        {"id": 2, "isthing": True, "category_id": 1},
        {"id": 3, "isthing": True, "category_id": 2},
        {"id": 4, "isthing": False, "category_id": 2},
    ]
    scores = torch.rand(3, 2, 2)
    out = numbers.apply({"panoptic_seg": (ids, segments), "sem_seg": scores})
    found, kept = out["panoptic_seg"]
    assert found.tolist() == [[1, 0], [3, 4]] and ids[0, 1] == 2
    assert [(s["id"], s["category_id"]) for s in kept] == [(1, 1), (3, 0), (4, 1)]
    assert torch.equal(out["sem_seg"], scores[[0, 2, 1]])
    assert Renumbering((0, 1), (0,)).changes_nothing


def test_places() -> None:
    assert places_among("abc", ["c", "a"]) == [1, ABSENT, 0]
    # composed, and of a letter and its accent; two that are classes of one set stay two
    one, other = "b\u00e4r", "ba\u0308r"
    assert places_among([one, "a"], ["a", other]) == [1, 0]
    assert places_among([one, other], [other]) == [ABSENT, 0]


def test_accents_may_be_composed_in_one_of_the_sets(
    register: Callable[..., Any], document: dict[str, Any]
) -> None:
    first = document["categories"][0]["name"]
    sets = [register(renamed(first, name)) for name in ("b\u00e4r", "ba\u0308r")]
    assert number_of_classes(sets, 2) == 8
