"""Panoptic files as other systems write them: names of segments, and marks in words."""

import json
from pathlib import Path
from typing import Any

import pytest

from robust_det.core.errors import UserError
from robust_det.data.detection.readers.panoptic_json import PanopticSource
from robust_det.data.detection.segments import read_panoptic
from robust_det.data.detection.semantic_maps import make_semantic_maps


def rewritten(root: Path, change: Any) -> Path:
    path = root / "val.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    return path


def test_segments_under_another_spelling_of_their_names(own_panoptic: Path, scenes: Path) -> None:
    def change(document: Any) -> None:
        for annotation in document["annotations"]:
            annotation["file_name"] = f".\\{annotation['file_name'].replace('.png', '.PNG')}"

    root = own_panoptic
    path = rewritten(root, change)
    maps = root / "made"
    source = PanopticSource(str(path), str(root / "segments_val"), str(maps), str(scenes / "val"))
    assert make_semantic_maps("own", source, workers=1) == 6
    there = sorted(file.name for file in (root / "segments_val").iterdir())
    assert sorted(file.name for file in maps.iterdir()) == there
    assert make_semantic_maps("own", source, workers=1) == 0
    reading = source.read("own")
    assert not reading.report.problems and reading.report.count("other_name") == 6
    found = [segments["file_name"] for _, _, segments in reading.images if segments]
    assert found == there


def test_marks_in_words(own_panoptic: Path) -> None:
    before, _ = read_panoptic(own_panoptic / "val.json", "own")

    def change(document: Any) -> None:
        for category in document["categories"]:
            category["isthing"] = "true" if category["isthing"] else "0"
        for annotation in document["annotations"]:
            for segment in annotation["segments_info"]:
                segment["iscrowd"] = "False"

    path = rewritten(own_panoptic, change)
    assert read_panoptic(path, "own")[0] == before
    path = rewritten(own_panoptic, lambda d: d["categories"][0].update(isthing="thing"))
    with pytest.raises(UserError, match="has the isthing 'thing', which is neither yes nor no"):
        read_panoptic(path, "own")
