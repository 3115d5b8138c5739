"""However a tool exports a data set, it is the same one: images, objects and AP."""

import contextlib
import io
import itertools
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.structures import Boxes, Instances
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pycocotools import mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from robust_det.analysis.significance.bootstrap import bootstrap
from robust_det.analysis.significance.evidence import read_detections, read_truth
from robust_det.analysis.significance.matching import match
from robust_det.core.errors import UserError
from robust_det.detection.datasets import describe_dataset, prepare_dataset
from robust_det.detection.evaluation import DETECTIONS_NAME, FastCOCOEvaluator
from tests.support.exporters import Exporter, exporters

# each example writes files of its own, and a failing one says all of it
EXAMPLES = settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
NUMBER = itertools.count()


def found_on(document: Any, quality: float) -> dict[str, list[Any]]:
    """Detections by file name: class, box, mask, score; at a quality of 1 they equal the truth."""
    rng = random.Random(5)
    names = {c["id"]: c["name"] for c in document["categories"]}
    images = {i["id"]: i for i in document["images"]}
    found: dict[str, list[Any]] = {i["file_name"]: [] for i in document["images"]}
    for a in document["annotations"]:
        image, score = images[a["image_id"]], rng.random()
        x, y, w, h = a["bbox"]
        if rng.random() > quality:
            x, w = x + 0.2 * w, 0.63 * w  # no threshold of IoU
        size = image["height"], image["width"]
        region = mask.decode(mask.merge(mask.frPyObjects(a["segmentation"], *size)))
        found[image["file_name"]].append((names[a["category_id"]], (x, y, w, h), region, score))
    return found


def by_pycocotools(truth: COCO, detections: list[Any], task: str) -> float:
    """AP in percent."""
    dropped = "bbox" if task == "segm" else "segmentation"
    with contextlib.redirect_stdout(io.StringIO()):
        results = truth.loadRes([{k: v for k, v in d.items() if k != dropped} for d in detections])
        evaluation = COCOeval(truth, results, task)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return 100 * float(evaluation.stats[0])


def expected_ap(document: Any, found: Any) -> float:
    """The AP of boxes on the document as it was before any tool exported it."""
    truth = COCO()
    truth.dataset = json.loads(json.dumps(document))
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
    ids = {c["name"]: c["id"] for c in document["categories"]}
    return by_pycocotools(
        truth,
        [
            {"image_id": i["id"], "category_id": ids[name], "bbox": list(box), "score": score}
            for i in document["images"]
            for name, box, _, score in found[i["file_name"]]
        ],
        "bbox",
    )


def evaluated(name: str, found: Any, tasks: list[str], folder: Path) -> Any:
    """What the evaluator of a run says of detections."""
    evaluator = FastCOCOEvaluator(name, tasks, output_dir=str(folder))
    evaluator.reset()
    classes = MetadataCatalog.get(name).thing_classes
    for record in DatasetCatalog.get(name):
        mine = found[Path(record["file_name"]).name]
        out = Instances((record["height"], record["width"]))
        boxes = torch.tensor([b for _, b, _, _ in mine], dtype=torch.float64).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        out.pred_boxes = Boxes(boxes)
        out.scores = torch.tensor([s for *_, s in mine], dtype=torch.float64)
        out.pred_classes = torch.tensor([classes.index(n) for n, *_ in mine], dtype=torch.int64)
        out.pred_masks = torch.tensor(np.array([m for _, _, m, _ in mine], dtype=bool)).reshape(
            len(mine), record["height"], record["width"]
        )
        evaluator.process([record], [{"instances": out}])
    with contextlib.redirect_stdout(io.StringIO()):
        return evaluator.evaluate()


def check(name: str, document: Any, folder: Path, masks: bool) -> tuple[Any, Any]:
    """Assert that a registered data set is the document's; return some detections' APs and file."""
    prepare_dataset(name)
    with contextlib.redirect_stdout(io.StringIO()):
        canonical = COCO(MetadataCatalog.get(name).json_file)
    for part in ("images", "annotations"):
        ids = [entry["id"] for entry in canonical.dataset[part]]
        assert ids == [*range(1, len(document[part]) + 1)]
    tasks = ["bbox", "segm"] if masks else ["bbox"]
    perfect = evaluated(name, found_on(document, 1.0), tasks, folder)
    for task in tasks:
        assert perfect[task]["AP"] == pytest.approx(100, abs=1e-9)
        results = [
            {
                **{key: a[key] for key in ("image_id", "category_id", "bbox")},
                "segmentation": canonical.annToRLE(a) if masks else None,
                "score": 0.5,
            }
            for a in canonical.dataset["annotations"]
        ]
        assert by_pycocotools(canonical, results, task) == pytest.approx(100, abs=1e-9)
    found = found_on(document, 0.6)
    figures = evaluated(name, found, tasks, folder)["bbox"]
    assert figures["AP"] == pytest.approx(expected_ap(document, found), abs=1e-9)
    assert 10 < figures["AP"] < 95
    return figures, folder / DETECTIONS_NAME


@EXAMPLES
@given(exporter=exporters())
def test_coco_json(
    exporter: Exporter, document: Any, scenes: Path, tmp_path: Path, register_entry: Any
) -> None:
    path = tmp_path / f"exported_{next(NUMBER)}.json"
    path.write_bytes(exporter.encoded(exporter.rewritten(document)))
    name = register_entry(JSON=path, IMAGES=scenes / "val")
    figures, saved = check(name, document, tmp_path / "out", masks=True)
    # the detections that are kept name the images as the tool does
    detections = json.loads(saved.read_bytes())
    original = {image["file_name"]: n for n, image in enumerate(document["images"])}
    of_file = {f: exporter.image_id(n) for f, n in original.items()}
    scores = {d["score"]: d["image_id"] for d in detections}
    for file, things in found_on(document, 0.6).items():
        assert all(scores[score] == of_file[file] for *_, score in things)
    # and with the tool's own file they have the AP of the run
    facts = describe_dataset(name)
    assert facts.file == str(path)
    truth = read_truth(path)
    matches = match(truth.document, read_detections(saved, truth), "bbox")
    assert bootstrap(matches, 1, seed=0).values["AP"] == pytest.approx(figures["AP"], abs=1e-9)


def test_what_is_left_of_an_export(
    document: Any, scenes: Path, tmp_path: Path, register_entry: Any
) -> None:
    """The ids are those of the tool there too, and the truth is what is left."""
    exporter = Exporter("texts", "from 0", "as it is", "polygons", "utf-8", True, False, 0, 5)
    exported = exporter.rewritten(document)
    exported["images"][1]["file_name"] = "gone.png"
    gone = exported["images"][1]["id"]
    path = tmp_path / "exported.json"
    path.write_bytes(exporter.encoded(exported))
    name = register_entry(JSON=path, IMAGES=scenes / "val")
    facts = prepare_dataset(name, lenient=True)
    figures = evaluated(name, found_on(document, 0.6), ["bbox"], tmp_path)["bbox"]
    saved = tmp_path / DETECTIONS_NAME
    ids = {d["image_id"] for d in json.loads(saved.read_bytes())}
    assert ids == {i["id"] for i in exported["images"]} - {gone} and facts.images == 5
    truth = read_truth(Path(facts.file))
    matches = match(truth.document, read_detections(saved, truth), "bbox")
    assert bootstrap(matches, 1, seed=0).values["AP"] == pytest.approx(figures["AP"], abs=1e-9)
    # of the whole file, the detections are said to be of other images
    saved.write_text(json.dumps([{"image_id": gone}]))
    with pytest.raises(UserError, match=f"of an image '{gone}' that the ground truth does not"):
        read_detections(saved, truth)


@settings(EXAMPLES, max_examples=5)
@given(seed=st.integers(0, 2**32), encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_voc_folders(
    seed: int, encoding: str, document: Any, voc: Path, tmp_path: Path, register_entry: Any
) -> None:
    rng = random.Random(seed)
    for path in (voc / "Annotations").iterdir():
        head, *things = path.read_bytes().decode(_encoding(path)).split("<object>")
        bodies = [thing.removesuffix("</annotation>") for thing in things]
        rng.shuffle(bodies)
        text = "<object>".join([head, *bodies]) + "</annotation>"
        path.write_bytes(text.encode(encoding))
    lines = (voc / "ImageSets/Main/test.txt").read_text().split()
    rng.shuffle(lines)
    (voc / "ImageSets/Main/test.txt").write_text("\n".join(lines))
    check(register_entry(VOC=voc, SPLIT="test"), document, tmp_path / "out", masks=False)


def _encoding(path: Path) -> str:
    return "utf-16" if path.read_bytes()[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"


@settings(EXAMPLES, max_examples=5)
@given(seed=st.integers(0, 2**32))
def test_yolo_folders(
    seed: int, document: Any, yolo: Path, tmp_path: Path, register_entry: Any
) -> None:
    rng = random.Random(seed)
    for path in (yolo / "labels/val").iterdir():
        lines = path.read_text().splitlines()
        rng.shuffle(lines)
        path.write_text("\r\n".join(lines))
    check(register_entry(YOLO=yolo, SPLIT="val"), document, tmp_path / "out", masks=False)
