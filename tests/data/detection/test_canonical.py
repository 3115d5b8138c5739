"""Ids mean what they mean, masks have one spelling, and the file that a run reads is made once."""

import json
import logging
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask

from robust_det.core.errors import UserError
from robust_det.data.detection.cache import content_key, document_json, keep_json
from robust_det.data.detection.canonical.document import numbered
from robust_det.data.detection.canonical.identifiers import Identifiers, in_order
from robust_det.data.detection.canonical.keypoints import canonical_keypoints
from robust_det.data.detection.canonical.runs import canonical_runs
from robust_det.data.detection.checking.checks import check_document
from robust_det.data.detection.checking.images import Depth
from robust_det.data.detection.checking.masks import check_mask
from robust_det.data.detection.checking.report import Report


@pytest.mark.parametrize(
    "ids, reference, found",
    [
        ([1, 2], 2, 2),
        ([1, 2], 2.0, 2),
        ([1, 2], "2", 2),
        ([1, 2], "002", 2),
        ([1, 2], "2.0", 2),
        ([1, 2], True, None),
        ([0, 1], False, None),
        ([1, 2], 1.5, None),
        ([1, 2], None, None),
        ([1, 2], "one", None),
        (["000001", "000002"], 2, "000002"),
        (["a", "b"], "a", "a"),
        # two that mean the same number are told apart by their spelling, or not at all
        (["1", "01"], "01", "01"),
        (["1", "01"], 1, None),
        ([1, "1"], "1", "1"),
        ([10**30], str(10**30), 10**30),
    ],
)
def test_what_a_reference_means(ids: Any, reference: Any, found: Any) -> None:
    assert repr(Identifiers(ids).find(reference)) == repr(found)


def test_the_order_of_images() -> None:
    assert in_order([3, -1, 0, 2**63, 2]) == [-1, 0, 2, 3, 2**63]
    assert in_order(["10", 9, 8.0, "007"]) == ["007", 8.0, 9, "10"]
    assert in_order(["b", "a", "10"]) == ["10", "a", "b"]
    assert in_order(["b", 2, "a"]) == [2, "a", "b"]


@pytest.mark.parametrize("seed", range(20))
def test_run_lengths_in_all_spellings(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 300, 2).tolist()
    smooth = rng.random((height, width)) < rng.choice([0.0, 0.001, 0.5, 1.0])
    pixels = np.asfortranarray(np.logical_or.accumulate(smooth, axis=0), dtype=np.uint8)
    runs = mask.encode(pixels)
    text = runs["counts"].decode()
    flat = pixels.flatten(order="F")
    edges = np.flatnonzero(np.diff(flat, prepend=0))
    numbers = np.diff([0, *edges, flat.size]).tolist()
    expected = {"size": [height, width], "counts": text}
    for counts in (text, str(runs["counts"]), numbers, [*map(float, numbers)]):
        found = canonical_runs({"size": [height, width], "counts": counts}, width, height)
        assert found == expected
        assert np.array_equal(mask.decode(found), pixels)
    # cut, or of another image
    assert canonical_runs({"counts": text}, width, height + 1) is None
    assert canonical_runs({"counts": text[:-1]}, width, height) is None
    assert canonical_runs({"counts": numbers[:-1]}, width, height) is None


@pytest.mark.parametrize(
    "counts",
    [None, 5, "", "b'", "b'é'", "abc", "o" * 40, "\x00", "é", [-1, 97], [9.5, 86.5], ["9"]],
)
def test_what_are_no_run_lengths(counts: Any) -> None:
    assert canonical_runs({"counts": counts}, 8, 12) is None


def test_sound_run_lengths_stay_as_they_stand() -> None:
    sound = {"size": [12, 8], "counts": "P3"}
    assert check_mask(sound, 8, 12)[1] is sound
    assert repr(check_mask({**sound, "size": [12.0, 8.0]}, 8, 12)) == repr(("", sound))


@pytest.mark.parametrize(
    "points, found",
    [
        ([1, 2, 2], [1, 2, 2]),
        ([[1, 2, 2], [0, 0, 0]], [1, 2, 2, 0, 0, 0]),
        ([], []),
        ([1, 2], None),
        ([[1, 2]], None),
        ([1, 2, "2"], None),
        ([1, 2, float("nan")], None),
        ({"x": 1}, None),
    ],
)
def test_keypoints(points: Any, found: Any) -> None:
    assert canonical_keypoints(points) == found


def test_malformed_keypoints_are_a_note(document: Any, scenes: Path) -> None:
    first, second, *_ = document["annotations"]
    first.update(keypoints=[[1, 1]], num_keypoints=1)
    second.update(keypoints=[[5, 6, 2], [0, 0, 0]])
    report = Report("x")
    packed = check_document(document, str(scenes / "val"), report, Depth.NAMES)
    assert not report.problems and report.count("broken_keypoints") == 1
    objects = [one for entry in packed for one in entry.objects]
    kept = [(o["keypoints"], o["num_keypoints"]) for o in objects if "keypoints" in o]
    assert kept == [([5, 6, 2, 0, 0, 0], 1)]


@pytest.fixture
def keep(document: Any, scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that keeps the document, and tells the file, its hash, and its time."""
    monkeypatch.setenv("ROBUST_DET_CACHE", str(tmp_path / "cache"))
    report = Report("x")
    packed = check_document(document, str(scenes / "val"), report, Depth.NAMES)

    def make(key: str = "1", required: bool = False) -> Any:
        classes = [{"id": c["id"], "name": c["name"]} for c in document["categories"]]
        content = partial(document_json, packed, classes, True)
        kept, sha256 = keep_json("x", key, content, required)
        return Path(kept), sha256, Path(kept).stat().st_mtime_ns

    return make


def test_the_file_is_made_once(keep: Any, document: Any) -> None:
    made = keep()
    path = made[0]
    assert keep() == made
    assert keep("2")[0] != path
    content = path.read_bytes()
    # what is not whole is made again
    path.write_bytes(content[:-1])
    assert keep()[:2] == made[:2] and path.read_bytes() == content
    path.with_suffix(".made").write_text("{}")
    assert keep()[:2] == made[:2]
    # nobody who reads it as another's finds other images
    kept = json.loads(content)
    again, names = numbered(kept)
    assert names == sorted(image["id"] for image in document["images"])
    assert again == {key: kept[key] for key in again}
    theirs, names_there = numbered(document)
    assert (theirs, names_there) == (again, names)


def test_a_cache_that_cannot_be_written(
    keep: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    expected = keep()[0].read_bytes()
    (tmp_path / "file").touch()
    monkeypatch.setenv("ROBUST_DET_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(logging.getLogger("robust_det"), "propagate", True)
    path = keep()[0]
    assert path.read_bytes() == expected
    assert f"meanwhile the annotations of 'x' are in {path.parent}" in caplog.text
    # what a record is going to name has to stay
    with pytest.raises(UserError, match="cannot write"):
        keep(required=True)


@pytest.mark.parametrize("sha256", ["", "ab" * 32])
def test_the_key_is_another_one_for_other_content(sha256: str, document: Any, scenes: Path) -> None:
    def key() -> str:
        packed = check_document(document, str(scenes / "val"), Report("x"), Depth.NAMES)
        return content_key(packed, sha256)

    first, second, *_ = document["annotations"]
    keys = [key(), key()]
    first["area"] += 1
    keys.append(key())
    document["annotations"].remove(second)
    keys.append(key())
    document["images"][0]["id"] += 5
    for a in document["annotations"]:
        a["image_id"] += 5 * (a["image_id"] == document["images"][0]["id"] - 5)
    keys.append(key())
    assert len(set(keys)) == 4 and keys[0] == keys[1]
