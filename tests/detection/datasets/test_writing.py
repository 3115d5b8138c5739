"""A data set written as COCO JSON, whole or split, is the same data, also to pycocotools."""

import io
import itertools
import json
import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as mask_util
from pycocotools.coco import COCO

from robust_det.commands.main import main
from robust_det.data.detection.canonical.entries import canonical_object
from robust_det.data.detection.entries import parse_entry
from robust_det.data.detection.layouts import recognise
from robust_det.data.detection.prepared import check_and_pack
from robust_det.data.detection.writing.splitting import held_out_groups


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def run(*arguments: object) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        done = capfd.readouterr()
        return code, done.out, done.err

    return run


def load(path: Path) -> COCO:
    with redirect_stdout(io.StringIO()):
        return COCO(str(path))


def boxes(coco: COCO) -> dict[str, list[Any]]:
    """By the name of an image its classes and boxes."""
    return {
        Path(image["file_name"]).name: sorted(
            [coco.cats[a["category_id"]]["name"], *np.round(a["bbox"], 2)]
            for a in coco.imgToAnns[image["id"]]
        )
        for image in coco.imgs.values()
    }


def all_of(folder: Path) -> Path:
    """COCO JSON of the validation scenes alone."""
    return folder / "annotations/instances_val.json"


def test_masks_are_those_of_the_source(scenes: Path, tmp_path: Path, command: Any) -> None:
    out = tmp_path / "out/deep"
    code, said, _ = command("convert-data", all_of(scenes), out)
    assert code == 0 and f"wrote {out / 'instances.json'}: 6 images" in said
    source, written = load(all_of(scenes)), load(out / "instances.json")
    assert list(source.imgs) == list(written.imgs) and source.cats == written.cats
    for number, image in source.imgs.items():
        found = written.imgToAnns[number]
        for a, b in zip(source.imgToAnns[number], found, strict=True):
            assert (a["bbox"], a["area"]) == (b["bbox"], b["area"])
            assert np.array_equal(source.annToMask(a), written.annToMask(b))
        # the folder of the file is that of images
        path = out / written.imgs[number]["file_name"]
        assert path.read_bytes() == (scenes / "val" / image["file_name"]).read_bytes()
    assert mask_util.area(written.annToRLE(written.anns[1])) > 0
    code, _, error = command("convert-data", all_of(scenes), out)
    assert code == 2 and "exists; --overwrite replaces it" in error


@pytest.mark.parametrize("form", ["voc", "yolo"])
def test_boxes_are_those_of_the_source(
    form: str, scenes: Path, tmp_path: Path, command: Any, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(form)
    shutil.rmtree(folder / "ImageSets", ignore_errors=True)
    code, said, _ = command("convert-data", folder, tmp_path / "out", "--copy-images")
    assert code == 0, said
    written = load(tmp_path / "out/instances.json")
    expected = boxes(load(all_of(scenes)))
    found = boxes(written)
    assert found.keys() == expected.keys()
    for name, things in expected.items():
        assert [t[0] for t in found[name]] == [t[0] for t in things]
        flat = [v for t in things for v in t[1:]]
        # VOC's are whole pixels, YOLO's have six digits
        assert [v for t in found[name] for v in t[1:]] == pytest.approx(flat, abs=1.0)
    shutil.rmtree(folder)
    layout = recognise(tmp_path / "out")
    name, source = parse_entry(layout.entries["all"])
    assert check_and_pack(name, source, False).facts.images == 6
    assert all(i["file_name"].startswith("images/") for i in written.imgs.values())


def test_difficult_objects_are_trained_on_and_not_scored(
    voc: Path, tmp_path: Path, command: Any
) -> None:
    for path in (voc / "Annotations").iterdir():
        path.write_text(path.read_text().replace("<difficult>0", "<difficult>1", 1))
    command("convert-data", voc, tmp_path / "out")
    coco = load(tmp_path / "out/instances_test.json")
    assert sum(a["iscrowd"] for a in coco.anns.values()) == 6
    prepared = []
    for entry in (
        recognise(voc).entries["test"],
        recognise(tmp_path / "out").entries["test"],
    ):
        name, source = parse_entry(entry)
        prepared.append(check_and_pack(name, source, False))
    ours, theirs = prepared
    assert theirs.images is not None and ours.images is not None
    assert theirs.images.of_class == ours.images.of_class
    assert theirs.images.learnable.tolist() == ours.images.learnable.tolist()
    key = [[canonical_object(o, 0, 0) for o in e.objects] for e in ours.images]
    assert [[canonical_object(o, 0, 0) for o in e.objects] for e in theirs.images] == key
    assert ours.truth()["annotations"] == theirs.truth()["annotations"]


def test_copies_of_parts_that_call_their_images_alike(
    scenes: Path, tmp_path: Path, command: Any
) -> None:
    shutil.copytree(scenes, tmp_path / "set")
    for part in ("train", "val"):
        path = tmp_path / f"set/annotations/instances_{part}.json"
        raw = json.loads(path.read_text())
        for number, image in enumerate(raw["images"]):
            folder = tmp_path / "set" / part
            (folder / image["file_name"]).rename(folder / f"{number}.png")
            image["file_name"] = f"{number}.png"
        path.write_text(json.dumps(raw))
    out = tmp_path / "out"
    assert command("convert-data", tmp_path / "set", out, "--copy-images")[0] == 0
    for part in ("train", "val"):
        coco = load(out / f"instances_{part}.json")
        for image in coco.imgs.values():
            own = tmp_path / "set" / part / Path(image["file_name"]).name
            assert (out / image["file_name"]).read_bytes() == own.read_bytes()
    # what lies there is never replaced
    for file in out.glob("*.json"):
        file.unlink()
    code, _, error = command("convert-data", tmp_path / "set", out, "--copy-images")
    assert code == 2 and "0.png exists; --overwrite replaces it" in error


def test_what_is_unsound_is_refused_and_nothing_is_written(
    scenes: Path, tmp_path: Path, document: dict[str, Any], command: Any
) -> None:
    document["annotations"][0]["bbox"] = [1, 1, -5, 3]
    path = tmp_path / "a.json"
    path.write_text(json.dumps(document))
    shutil.copytree(scenes / "val", tmp_path / "a")
    code, _, error = command("convert-data", path, tmp_path / "out")
    assert code == 2 and "1 negative or infinite box" in error and "--lenient" in error
    assert not (tmp_path / "out").exists()
    code, said, _ = command("convert-data", path, tmp_path / "out", "--lenient")
    assert code == 0 and "was cleaned: 1 negative or infinite box" in said
    assert len(load(tmp_path / "out/instances.json").anns) == len(document["annotations"]) - 1


def test_images_below_a_hidden_folder(scenes: Path, tmp_path: Path, command: Any) -> None:
    hidden = tmp_path / ".cache/set"
    shutil.copytree(scenes, hidden)
    assert command("convert-data", hidden, tmp_path / "out")[0] == 0
    for entry in recognise(tmp_path / "out").entries.values():
        name, source = parse_entry(entry)
        assert not source.read(name).report.problems


def test_a_truncated_image_is_left_out_where_that_is_asked_for(
    scenes: Path, tmp_path: Path, document: dict[str, Any], command: Any
) -> None:
    shutil.copytree(scenes / "val", tmp_path / "a")
    shutil.copy(all_of(scenes), tmp_path / "a.json")
    file = tmp_path / "a" / document["images"][0]["file_name"]
    file.write_bytes(file.read_bytes()[:-500])
    code, said, _ = command("convert-data", tmp_path / "a.json", tmp_path / "out", "--lenient")
    assert code == 0 and "1 unreadable image" in said and file.name in said
    assert document["images"][0]["id"] not in load(tmp_path / "out/instances.json").imgs


def test_a_split_is_of_images_and_has_each_class_on_both_sides(
    scenes: Path, tmp_path: Path, document: dict[str, Any], command: Any
) -> None:
    # the same file under another name: what is on both sides measures nothing
    shutil.copytree(scenes / "val", tmp_path / "set")
    images, things = document["images"], document["annotations"]
    copy = {**images[0], "id": 77, "file_name": "copy.png"}
    shutil.copy(tmp_path / "set" / images[0]["file_name"], tmp_path / "set/copy.png")
    twice = [
        {**a, "id": 900 + n, "image_id": 77}
        for n, a in enumerate(things)
        if a["image_id"] == images[0]["id"]
    ]
    whole = {**document, "images": [*images, copy], "annotations": [*things, *twice]}
    (tmp_path / "set.json").write_text(json.dumps(whole))
    on = {i["id"]: {a["category_id"] for a in things if a["image_id"] == i["id"]} for i in images}
    shared = {c for c, n in Counter(c for each in on.values() for c in each).items() if n > 1}
    parts = []
    for seed in range(4):
        out = tmp_path / f"out{seed}"
        arguments = ("split", tmp_path / "set.json", "--output", out, "--fraction", 0.34)
        code, said, _ = command(*arguments, "--seed", seed)
        assert code == 0 and "1 image that others are copies of" in said
        train, val = (load(out / f"instances_{part}.json") for part in ("train", "val"))
        assert train.cats == val.cats == {c["id"]: c for c in document["categories"]}
        assert not {*train.imgs} & {*val.imgs}
        assert {*train.imgs} | {*val.imgs} == {i["id"] for i in whole["images"]}
        assert (77 in val.imgs) == (images[0]["id"] in val.imgs)
        assert len(train.anns) + len(val.anns) == len(whole["annotations"])
        for coco in (train, val):
            assert shared <= {a["category_id"] for a in coco.anns.values()}
        parts.append(frozenset(val.imgs))
        # the same seed gives the same, in whatever order the images stand
        shuffled = {**whole, "images": whole["images"][::-1]}
        (tmp_path / "other.json").write_text(json.dumps(shuffled))
        shutil.copytree(tmp_path / "set", tmp_path / "other", dirs_exist_ok=True)
        command("split", tmp_path / "other.json", *arguments[2:3], f"{out}b", *arguments[4:],
                "--seed", seed)  # fmt: skip
        assert frozenset(load(Path(f"{out}b/instances_val.json")).imgs) == parts[-1]
    code, _, error = command(*arguments)
    assert code == 2 and "exists; --overwrite replaces it" in error


@pytest.mark.parametrize("fraction", ["0", "1", "-1", "nan"])
def test_fractions(fraction: str, scenes: Path, tmp_path: Path, command: Any) -> None:
    code, _, error = command(
        "split", all_of(scenes), "--output", tmp_path, f"--fraction={fraction}"
    )
    assert code == 2 and "above 0 and below 1" in error


def test_a_single_part_may_be_a_file(scenes: Path, tmp_path: Path, command: Any) -> None:
    assert command("convert-data", all_of(scenes), tmp_path / "out/a.json")[0] == 0
    assert len(load(tmp_path / "out/a.json").imgs) == 6
    code, _, error = command("convert-data", scenes, tmp_path / "b.json")
    assert code == 2 and "has the parts train, val, and" in error and "give a folder" in error


def test_objects_on_one_image_are_not_split(
    scenes: Path, tmp_path: Path, document: dict[str, Any], command: Any
) -> None:
    shutil.copytree(scenes / "val", tmp_path / "a")
    first = document["annotations"][0]["image_id"]
    own = [a for a in document["annotations"] if a["image_id"] == first]
    (tmp_path / "a.json").write_text(json.dumps({**document, "annotations": own}))
    code, _, error = command("split", tmp_path / "a.json", "--output", tmp_path / "out")
    assert code == 2 and "has objects on 1 of its different images" in error
    # classes of one image each: both sides have objects, whatever the seed
    second = next(a for a in document["annotations"] if a["image_id"] != first)
    pair = [{**own[0], "category_id": 1}, {**second, "category_id": 2}]
    (tmp_path / "a.json").write_text(json.dumps({**document, "annotations": pair}))
    for seed in range(6):
        out = tmp_path / f"out{seed}"
        code, said, _ = command("split", tmp_path / "a.json", "--output", out, "--seed", seed)
        assert code == 0 and said.count(" alone: 1 image") == 2
        assert [len(load(out / f"instances_{p}.json").anns) for p in ("train", "val")] == [1, 1]


def test_what_is_split_already_is_refused(scenes: Path, tmp_path: Path, command: Any) -> None:
    code, _, error = command("split", scenes, "--output", tmp_path / "out")
    assert code == 2 and "the parts train, val" in error


def test_classes_are_on_both_sides_wherever_that_is_possible() -> None:
    rng = np.random.default_rng(0)
    for seed in range(200):
        number = int(rng.integers(2, 8))
        classes = [
            frozenset(rng.choice(5, int(rng.integers(0, 4)), replace=False).tolist())
            for _ in range(number)
        ]
        held = held_out_groups(classes, [1] * number, 0.25, seed)
        assert 0 < len(held) < number
        total = Counter(c for each in classes for c in each)

        def lacking(chosen: set[int], classes: Any = classes, total: Any = total) -> int:
            own = Counter(c for g in chosen for c in classes[g])
            return sum(total[c] > 1 and not 0 < own[c] < total[c] for c in total)

        # all splits that there are
        best = min(
            lacking(set(chosen))
            for size in range(1, number)
            for chosen in itertools.combinations(range(number), size)
        )
        assert lacking(held) == best


def test_large_sets_are_split_in_the_given_shares() -> None:
    rng = np.random.default_rng(1)
    classes = [frozenset(np.flatnonzero(rng.random(10) < 0.2).tolist()) for _ in range(2000)]
    held = held_out_groups(classes, [1] * 2000, 0.2, 0)
    assert held == held_out_groups(classes, [1] * 2000, 0.2, 0)
    assert held != held_out_groups(classes, [1] * 2000, 0.2, 1)
    assert len(held) == pytest.approx(400, abs=20)
    for c in range(10):
        share = sum(c in classes[g] for g in held) / sum(c in each for each in classes)
        assert share == pytest.approx(0.2, abs=0.01)
