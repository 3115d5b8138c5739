"""One process checks a data set, and those that belong to it take over what it found."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from robust_det.core.errors import UserError
from robust_det.data.detection.handover import prepare
from robust_det.data.detection.readers.coco_json import CocoSource

PROGRAM = """
import sys
from robust_det.core.errors import UserError
from robust_det.data.detection.handover import prepare, share_with_children
from robust_det.data.detection.readers.coco_json import CocoSource
try:
    prepared = prepare("handed", CocoSource(*sys.argv[1:]))
except UserError as error:
    print("refused:", error)
else:
    print(repr((prepared.facts, prepared.categories, prepared.truth())))
"""


@pytest.fixture
def own(tmp_path: Path, scenes: Any) -> Any:
    """Annotations and images that may be changed."""
    shutil.copytree(scenes / "val", tmp_path / "val")
    path = shutil.copy(scenes / "annotations/instances_val.json", tmp_path / "val.json")
    return str(path), str(tmp_path / "val")


@pytest.fixture(params=["torchrun", "launcher"])
def group(request: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The folder that processes share, which are told as torchrun or a launcher would."""
    folder = tmp_path / "attempt_0"
    (folder / "0").mkdir(parents=True)
    if request.param == "torchrun":
        monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(folder / "0/error.json"))
    else:
        monkeypatch.setenv("ROBUST_DET_SHARED_FOLDER", str(folder))
    prepare.cache_clear()
    return folder


def other_process(own: Any, **environment: Any) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *own],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_others_take_it_over(own: Any, group: Any) -> None:
    prepared = prepare("handed", CocoSource(*own))
    expected = repr((prepared.facts, prepared.categories, prepared.truth()))
    os.unlink(own[0])  # nobody needs it any more
    assert other_process(own) == expected
    alone = other_process(own, TORCHELASTIC_ERROR_FILE="", ROBUST_DET_SHARED_FOLDER="")
    assert alone.startswith("refused: data set 'handed' has no annotations at ")


def test_others_refuse_it_with_the_same_words(own: Any, group: Any) -> None:
    path = Path(own[0])
    document = json.loads(path.read_text())
    document["annotations"][0]["category_id"] = 99
    path.write_text(json.dumps(document))
    with pytest.raises(UserError, match="1 object of a class it does not list") as caught:
        prepare("handed", CocoSource(*own))
    os.unlink(own[0])
    assert other_process(own) == f"refused: {caught.value}"


def test_nothing_stays_behind(own: Any, group: Any) -> None:
    assert other_process(own).startswith("(DatasetFacts(")
    assert [p.name for p in group.iterdir() if p.is_file() and p.suffix != ".lock"] == []


def test_a_process_that_fails_lets_the_next_one_check(own: Any, group: Any) -> None:
    path, moved = own[0], own[0] + ".away"
    os.rename(path, moved)
    assert other_process(own).startswith("refused: ")
    os.rename(moved, path)
    # the refusal has gone with the process that made it
    assert prepare("handed", CocoSource(*own)).facts.images == 6
