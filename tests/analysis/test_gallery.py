"""Pictures of a comparison: which images, what is counted in them, and that it can be seen."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask

from robust_det.analysis.compare import compare
from robust_det.analysis.gallery.choice import Chosen, choose
from robust_det.analysis.gallery.drawing import FALSE, FOUND, MISSED, OBJECT, Mark, draw
from robust_det.analysis.options import Options
from robust_det.data.detection.hits import Boxes, match_boxes

WriteRun = Callable[..., Path]


def test_classes_take_turns_and_the_largest_disagreement_comes_first() -> None:
    disagreement = {(1, 7): 1.0, (2, 7): 3.0, (3, 7): 3.0, (3, 8): 5.0, (4, 8): 0.0, (5, 9): 0.0}
    objects = {1: 9, 2: 4, 3: 1, 4: 1, 5: 1}
    chosen = choose(disagreement, objects, 9)
    # class 7 disagrees by 7 in all, 8 by 5; of images 2 and 3 the latter has fewer objects
    assert chosen == [
        Chosen(3, 7, 3.0),
        Chosen(4, 8, 0.0),
        Chosen(5, 9, 0.0),
        Chosen(2, 7, 3.0),
        Chosen(1, 7, 1.0),
    ]
    assert choose(dict(reversed(disagreement.items())), objects, 2) == chosen[:2]
    assert choose({}, {}, 3) == []


def test_a_crowd_takes_what_lies_on_it() -> None:
    """By the share of the detection, as COCO has it: the IoU of the two is 0.04."""
    crowd = Boxes.of([([0, 0, 50, 50], 1, 1)])
    for category, false in ((1, False), (2, True)):
        hits = match_boxes(crowd, Boxes.of([([10, 10, 10, 10], category, 0.9)]))
        assert hits.false.tolist() == [false] and hits.found.tolist() == [False]


def thing(image: int, category: int, x: int, **more: Any) -> dict[str, Any]:
    box = [x, 20, 20, 30]
    return {"image_id": image, "category_id": category, "bbox": box, "area": 600, **more}


def photographs(folder: Path, count: int) -> str:
    folder.mkdir()
    for number in range(1, count + 1):
        Image.new("RGB", (100, 60), (200, 200, 200)).save(folder / f"{number}.png")
    return str(folder)


OBJECTS = [thing(1, 1, 0), thing(2, 1, 0), thing(2, 1, 40), thing(3, 2, 0), thing(4, 1, 0)]
TRUTH = {
    "images": [{"id": n, "file_name": f"{n}.png", "width": 100, "height": 60} for n in range(1, 5)],
    "annotations": [{"id": n, "iscrowd": 0, **one} for n, one in enumerate(OBJECTS, 1)],
    "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
}


@pytest.fixture
def runs(scored_run: WriteRun, tmp_path: Path) -> list[Path]:
    """Two standard detectors and a robust one, which differ in images 2 and 3."""
    folder = photographs(tmp_path / "photographs", 4)
    everything = [thing(i, c, x, score=0.9) for i, c, x in ((1, 1, 0), (2, 1, 0), (3, 2, 0))]
    robust = [thing(2, 1, 40, score=0.5), thing(2, 1, 70, score=0.6), thing(3, 2, 0, score=0.499)]
    made = {"s0": (0.0, 0, everything), "s1": (0.0, 1, everything[:2])}
    made["r0"] = (1.0, 0, [everything[0], *robust])
    return [
        scored_run(name, eps, seed=seed, truth=TRUTH, found=found, image_folder=folder)
        for name, (eps, seed, found) in made.items()
    ]


def test_images_are_chosen_from_the_whole_test_set(runs: list[Path], tmp_path: Path) -> None:
    _, text = compare(runs, tmp_path / "report", options=Options(pictures=3))
    page = (tmp_path / "report/index.html").read_text()
    rows = re.findall(r'<h4>(\S+) <span class="quiet">(.*?)</span></h4>', page)
    # 2: each object is found by one backbone alone, and the robust one has a false detection;
    # 3: half of the standard detectors find the dog, and the robust one does below the threshold
    assert rows == [
        ("2.png", "for cat, disagreement 3.0"),
        ("3.png", "for dog, disagreement 0.5"),
        ("1.png", "for cat, disagreement 0.0"),
    ]
    assert "Detections with a score of 0.5 and more count" in page
    captions = re.findall(r"<figcaption[^>]*>([^<]+?) <span class=\"quiet\">([^<]+)", page)[:3]
    assert captions == [
        ("ground truth", "2 objects"),
        ("resnet18 standard, seed 0", "1 found, 0 false"),
        ("resnet18 L2 ε 1", "1 found, 1 false"),
    ]
    assert 'alt="2.png, predictions of resnet18 L2 ε 1: 1 found, 1 false"' in page
    names = sorted(p.name for p in (tmp_path / "report/pictures").iterdir())
    assert names == [f"A_{p}_{n:03d}.jpg" for p in ("run1", "run2", "truth") for n in range(3)]
    # colours where the boxes are, in a picture that is 6.4 times as large
    pixels = np.asarray(Image.open(tmp_path / "report/pictures/A_run2_000.jpg")).astype(int)
    for kind, x, y in ((FOUND, 40, 48), (FALSE, 70, 48), (MISSED, 10, 20)):
        near = pixels[
            round(y * 6.4) - 3 : round(y * 6.4) + 4, round(x * 6.4) - 40 : round(x * 6.4) + 40
        ]
        wanted = [int(kind.colour[n : n + 2], 16) for n in (1, 3, 5)]
        assert np.abs(near - wanted).sum(axis=2).min() < 60, kind
    assert "Pictures are" not in text


def test_without_its_images_a_comparison_says_so_and_shows_those_of_the_runs(
    runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = tmp_path / "elsewhere" / "photographs"
    shutil.copytree(tmp_path / "photographs", moved)
    shutil.rmtree(tmp_path / "photographs")
    _, text = compare(runs, tmp_path / "report")
    assert re.search(r"There are no pictures: run .*, and 1\.png is not in .*--images DIR\.", text)
    for options in (Options(images=(moved,)), Options()):
        compare(runs, tmp_path / "report", options=options)
        assert (tmp_path / "report/pictures/A_truth_000.jpg").is_file()
        monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path / "elsewhere"))
    (moved / "2.png").write_bytes(b"")
    Image.new("RGB", (60, 100)).save(moved / "3.png")
    _, text = compare(runs, tmp_path / "report")
    assert re.search(r"Image .*2\.png cannot be shown: .*is empty", text)
    assert re.search(r"3\.png cannot be shown: it is 60 x 100, annotated as 100 x 60", text)
    compare(runs, tmp_path / "report", options=Options(pictures=0))
    assert "<h4>" not in (tmp_path / "report/index.html").read_text()


def test_where_possible_a_backbone_without_detections_is_left_out(
    runs: list[Path], tmp_path: Path
) -> None:
    (file,) = runs[2].glob("inference/*/coco_instances_results.json")
    file.unlink()
    _, text = compare(runs, tmp_path / "report", options=Options(pictures=1))
    assert "There are no pictures" in text
    compare(runs, tmp_path / "report", options=Options(pictures=1, where_possible=True))
    names = sorted(p.name for p in (tmp_path / "report/pictures").iterdir())
    assert names == ["A_run1_000.jpg", "A_truth_000.jpg"]


@pytest.mark.parametrize("colour", ["white", "black", *(k.colour for k in (FOUND, FALSE, OBJECT))])
def test_lines_are_seen_on_any_colour(colour: str) -> None:
    drawn = draw(Image.new("RGB", (640, 480), colour), [Mark([100, 100, 300, 200], FOUND, "x")])
    across = np.asarray(drawn)[150:250, 380:420].mean(axis=0)
    contrast = np.abs(across - across[0]).sum(axis=1).max()
    assert contrast > 200


def test_words_do_not_cover_each_other() -> None:
    """Of two boxes at one place both names are seen, of twenty as many as there is room for."""
    white = Image.new("RGB", (640, 480), "white")
    marks = [Mark([300, 200, 40, 40], kind, "name") for kind in (FOUND, FALSE)]
    pixels = np.asarray(draw(white, marks)).astype(int)
    for kind in (FOUND, FALSE):
        wanted = [int(kind.colour[n : n + 2], 16) for n in (1, 3, 5)]
        assert (np.abs(pixels - wanted).sum(axis=2) == 0).sum() > 800, kind
    many = np.asarray(draw(white, marks * 10))
    assert np.array_equal(many[:100], pixels[:100])


POLYGON = [[100, 100, 300, 100, 300, 300, 100, 300]]


@pytest.mark.parametrize("form", ["polygon", "runs", "compressed"])
def test_masks_are_filled_in_any_form(form: str) -> None:
    compressed = mask.frPyObjects(POLYGON, 480, 640)[0]
    outside, inside = 100 * 480, 200 * 480
    runs = {"size": [480, 640], "counts": [outside, inside, 640 * 480 - outside - inside]}
    text = {**compressed, "counts": compressed["counts"].decode()}
    outline = {"polygon": POLYGON, "runs": runs, "compressed": text}[form]
    drawn = np.asarray(
        draw(Image.new("RGB", (640, 480)), [Mark([100, 100, 200, 200], FOUND, "", outline)])
    )
    colour = [int(FOUND.colour[n : n + 2], 16) for n in (1, 3, 5)]
    assert drawn[200, 200] == pytest.approx(0.35 * np.array(colour), abs=1)
    assert drawn[200, 50].tolist() == drawn[200, 350].tolist() == [0, 0, 0]
