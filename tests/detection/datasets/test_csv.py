"""CSV tables of boxes become the same data as their COCO JSON; what is wrong names its line."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from robust_det.core.errors import UserError
from robust_det.data.detection.entries import parse_entry
from robust_det.data.detection.layouts import recognise
from robust_det.data.detection.prepared import check_and_pack
from robust_det.data.detection.source import Reading

SIZE = 96


def read(**entry: Any) -> Reading:
    plain = {k: str(v) if isinstance(v, Path) else v for k, v in entry.items()}
    name, source = parse_entry({"NAME": "table", **plain})
    return source.read(name)


def boxes(reading: Reading) -> dict[str, list[Any]]:
    classes = {c["id"]: c["name"] for c in reading.canonical_classes()}
    return {
        Path(image["file_name"]).name: sorted(
            (classes[o["category_id"]], *(round(v, 3) for v in o["bbox"]), o["iscrowd"])
            for o in objects
        )
        for image, objects, _ in reading.images
    }


@pytest.fixture
def things(document: dict[str, Any]) -> list[tuple[str, str, list[float]]]:
    """Image, class and ``[x, y, width, height]`` of each object, in whole pixels."""
    names = {c["id"]: c["name"] for c in document["categories"]}
    files = {i["id"]: i["file_name"] for i in document["images"]}
    return [
        (files[a["image_id"]], names[a["category_id"]], [float(round(v)) for v in a["bbox"]])
        for a in document["annotations"]
    ]


@pytest.fixture
def truth(things: Any, document: dict[str, Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {i["file_name"]: [] for i in document["images"]}
    for image, label, box in things:
        found[image].append((label, *box, 0))
    return {image: sorted(each) for image, each in found.items()}


Written = Callable[[str, Any, str], str]


def corners(box: Sequence[float]) -> list[float]:
    x, y, w, h = box
    return [x, y, x + w, y + h]


FORMS: dict[str, tuple[str, Callable[[str, str, list[float]], list[Any]]]] = {
    "corners": ("image,xmin,ymin,xmax,ymax,label", lambda i, c, b: [i, *corners(b), c]),
    "sides": ("img_path,class_name,x,y,w,h", lambda i, c, b: [i, c, *b]),
    "long sides": ("file_name,bbox_x,bbox_y,bbox_width,bbox_height,category",
                   lambda i, c, b: [i, *b, c]),
    "centre": ("filename,class,x_center,y_center,width,height", lambda i, c, b: [
        i, c, b[0] + b[2] / 2, b[1] + b[3] / 2, b[2], b[3]]),
    "TensorFlow": ("filename,width,height,class,xmin,ymin,xmax,ymax", lambda i, c, b: [
        i, SIZE, SIZE, c, *corners(b)]),
    "Open Images": (
        "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsGroupOf",
        lambda i, c, b: [Path(i).stem, "x", c, 1, b[0] / SIZE, (b[0] + b[2]) / SIZE, b[1] / SIZE,
                         (b[1] + b[3]) / SIZE, 0, 0]),
    "retinanet": ("", lambda i, c, b: [f"/home/x/data/{i}", *map(int, corners(b)), c]),
    "one cell": ("image_id,width,height,bbox,label", lambda i, c, b: [
        Path(i).stem, SIZE, SIZE, f'"{b}"', c]),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_the_same_boxes_in_every_spelling(
    form: str, separator: str, things: Any, truth: Any, scenes: Path, tmp_path: Path
) -> None:
    header, row = FORMS[form]
    lines = [header.split(",")] if header else []
    lines += [[str(cell) for cell in row(*thing)] for thing in things]
    text = "\ufeff" + "\r\n".join(separator.join(line) for line in lines) + "\r\n"
    (tmp_path / "a.csv").write_text(text, encoding="utf-8", newline="")
    reading = read(CSV=tmp_path / "a.csv", IMAGES=scenes / "val")
    assert boxes(reading) == {image: each for image, each in truth.items() if each}
    assert not reading.report.problems
    said = next(line for line in reading.report.remarks if "columns" in line)
    assert ("fractions" in said) == (form == "Open Images")
    assert ("Source" in said) == (form == "Open Images")


def test_images_without_objects_crowds_and_difficult_ones(
    scenes: Path, document: dict[str, Any], tmp_path: Path
) -> None:
    first, second, third, *_ = (i["file_name"] for i in document["images"])
    (tmp_path / "a.csv").write_text(
        "filename,xmin,ymin,xmax,ymax,class,IsGroupOf,difficult\n"
        f"{first},1,2,30,40,cat,1,0\n{first},2,2,30,41,cat,0,1\n{first},5,9,50,41,dog,0,0\n"
        f"{second},,,,,,,\n{third},,,,,\n".replace(",,,,,\n", ",,,,,,,\n")
    )
    reading = read(CSV=tmp_path / "a.csv", IMAGES=scenes / "val")
    (one, objects, _), (_, nothing, _), (_, none, _) = reading.images
    assert one["file_name"] == first and nothing == none == []
    assert [(o["iscrowd"], o.get("difficult", 0)) for o in objects] == [(1, 0), (0, 1), (0, 0)]
    assert objects[2]["bbox"] == [5, 9, 45, 32] and objects[2]["area"] == 45 * 32
    assert reading.report.count("unlisted_image") == len(document["images"]) - 3
    prepared = check_and_pack("table", parse_entry(
        {"NAME": "table", "CSV": str(tmp_path / "a.csv"), "IMAGES": str(scenes / "val")}
    )[1], False)  # fmt: skip
    assert prepared.facts.images == 3 and prepared.json_file and prepared.facts.sha256


def test_units_origin_classes_and_splits(
    scenes: Path, document: dict[str, Any], tmp_path: Path
) -> None:
    image, other, *_ = (i["file_name"] for i in document["images"])
    path, at = tmp_path / "a.csv", {"CSV": tmp_path / "a.csv", "IMAGES": scenes / "val"}
    path.write_text(
        f"image,x1,y1,x2,y2,class,set\n{image},1,1,96,96,b,train\n{other},3,4,9,9,a,validation\n"
    )
    box = ("b", 0, 0, 96, 96, 0)
    assert boxes(read(**at, ORIGIN=1, SPLIT="train")) == {image: [box]}
    # as VOC's tables are, and it is said unless the entry says which
    assert boxes(read(**at, SPLIT="train")) == {image: [("b", 1, 1, 95, 95, 0)]}
    for given, times in (({}, 1), ({"ORIGIN": 0}, 0), ({"ORIGIN": 1}, 0)):
        assert read(**at, SPLIT="train", **given).report.count("from_one") == times
    assert read(**at, SPLIT="validation").report.count("from_one") == 0
    assert [c["name"] for c in read(**at).categories] == ["a", "b"]
    assert [c["name"] for c in read(**at, CLASSES=["b", "a"]).categories] == ["b", "a"]
    assert read(**at, CLASSES=["b"]).report.complaint().count("'a' in line 3 of a.csv") == 1
    shutil.copytree(scenes / "val", tmp_path / "images")
    assert {r: e["SPLIT"] for r, e in recognise(path).entries.items()} == {
        "train": "train", "val": "validation"
    }  # fmt: skip
    path.write_text(f"image,x,y,w,h\n{image},0.25,0.25,0.5,0.125\n")
    assert boxes(read(**at, CLASSES=["only"])) == {image: [("only", 24, 24, 48, 12, 0)]}
    with pytest.raises(UserError, match=r"no column of classes.*give CLASSES with the one name"):
        read(**at)
    with pytest.raises(UserError, match="no column split, set or subset"):
        read(**at, CLASSES=["only"], SPLIT="train")
    with pytest.raises(UserError, match="ORIGIN 1 has a meaning for corners in pixels"):
        read(**at, CLASSES=["only"], ORIGIN=1)


@pytest.mark.parametrize(
    ("header", "row", "words"),
    [
        ("image,xmin,ymin,xmax,ymax,class", "{},1,2,3,c", "line 2 of a.csv has 5 cells, and the"),
        ("image,xmin,ymin,xmax,ymax,class", "{},1,2,x,4,c", "line 2 of a.csv has the xmax 'x'"),
        ("image,xmin,ymin,xmax,ymax,class", "{},1,2,nan,4,c", "line 2 of a.csv has the xmax 'nan'"),
        ("image,xmin,ymin,xmax,ymax,class", "{},9,2,3,4,c", "line 2 of a.csv has a box that ends"),
        (
            "image,xmin,ymin,xmax,ymax,class",
            "{},1,2,3,4,",
            "line 2 of a.csv has a box and no class",
        ),
        ("image,xmin,ymin,xmax,ymax,class", ",1,2,3,4,c", "line 2 of a.csv has no image"),
        ("image,xmin,ymin,xmax,ymax,class", "{},,2,3,4,c", "line 2 of a.csv has the xmin ''"),
        ("image,xmin,ymin,xmax,ymax,class", "{},200,2,300,4,c", "object in line 2 of a.csv on"),
        ("image,xmin,ymin,xmax,ymax,class", "gone.png,1,2,3,4,c", "1 missing image"),
        ("image,bbox,class", '{},"[1,2,3]",c', "line 2 of a.csv has the box"),
        ("image,xmin,ymin,xmax,ymax,class,difficult", "{},1,2,3,4,c,?", "neither yes nor no"),
        ("image,width,height,xmin,ymin,xmax,ymax,class", "{},50,60,1,2,3,4,c", "annotated as 50 x"),
    ],
)
def test_a_wrong_row_names_its_line(
    header: str, row: str, words: str, scenes: Path, document: dict[str, Any], tmp_path: Path
) -> None:
    image = document["images"][0]["file_name"]
    good = {"bbox": '{},"[1,2,30,40]",c', "difficult": "{},1,2,30,40,c,0", "height": ""}
    last = next((g for key, g in good.items() if key in header), "{},1,2,30,40,c")
    text = f"{header}\n{row.format(image)}\n{last.format(image)}\n"
    (tmp_path / "a.csv").write_text(text)
    report = read(CSV=tmp_path / "a.csv", IMAGES=scenes / "val").report
    assert words in report.complaint() and "\n" not in report.complaint()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("image\na.png\n", "has one column"),
        ("image,class\na,b\n", "no columns of boxes, such as .*; it names image, class"),
        ("xmin,ymin,xmax,ymax,class\n1,2,3,4,a\n", "no column of images"),
        ("a.png,1,2,3\n", r"no header, and its 4 cells are not path,x1,y1,x2,y2,class"),
        ("image,x,y,w,h,angle,class\na.png,1,2,3,4,5,c\n", "turned boxes are not read"),
        ("image,x,y,w,h,X,class\na.png,1,2,3,4,5,c\n", "names 2 columns 'x'"),
        ("image,x,y,w,h,class\na.png,,,,,\n", "no row of .* has a class"),
        ("image,xmin,ymin,xmax,ymax,class\n{},0,0,1,1,c\n", "give UNITS pixels or fractions"),
    ],
)
def test_a_wrong_table_is_refused(
    text: str, words: str, scenes: Path, document: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text(text.replace("{}", document["images"][0]["file_name"]))
    with pytest.raises(UserError, match=words):
        read(CSV=tmp_path / "a.csv", IMAGES=scenes / "val")


def test_units_that_the_numbers_contradict(
    scenes: Path, document: dict[str, Any], tmp_path: Path
) -> None:
    image = document["images"][0]["file_name"]
    (tmp_path / "a.csv").write_text(f"image,x1,y1,x2,y2,class\n{image},1,2,30,40,c\n")
    with pytest.raises(UserError, match=r"line 2 of a.csv has 40, which is no fraction"):
        read(CSV=tmp_path / "a.csv", IMAGES=scenes / "val", UNITS="fractions")
    with pytest.raises(UserError, match="UNITS of data set 'table' is percent"):
        read(CSV=tmp_path / "a.csv", UNITS="percent")
    (tmp_path / "a.csv").write_text(f"image,x1,y1,x2,y2,class\n{image},0,0,1,1,c\n")
    whole = read(CSV=tmp_path / "a.csv", IMAGES=scenes / "val", UNITS="fractions")
    assert boxes(whole) == {image: [("c", 0, 0, SIZE, SIZE, 0)]}
    # of a table in fractions all are, and a table of pixels with some shows it
    (tmp_path / "a.csv").write_text(
        f"image,x1,y1,x2,y2,class\n{image},0.1,0.1,0.9,0.9,c\n{image},10,10,30,40,c\n"
    )
    mixed = read(CSV=tmp_path / "a.csv", IMAGES=scenes / "val").report
    assert mixed.count("normalised_box") == 1 and "line 2 of a.csv" in mixed.complaint()


def test_tables_are_recognised(scenes: Path, document: dict[str, Any], tmp_path: Path) -> None:
    shutil.copytree(scenes / "val", tmp_path / "images")
    first, second, *_ = (i["file_name"] for i in document["images"])
    for part, image, label in (("train", first, "a"), ("test", second, "b")):
        text = f"image,x1,y1,x2,y2,class\n{image},1,2,30,40,{label}\n"
        (tmp_path / f"{part}_labels.csv").write_text(text)
    (tmp_path / "classes.csv").write_text("a,0\nb,1\n")
    layout = recognise(tmp_path)
    assert layout.form == "CSV" and list(layout.entries) == ["train", "test"]
    by_file = recognise(tmp_path / "train_labels.csv")
    assert list(by_file.entries) == ["train", "test"] and "test_labels.csv" in by_file.notes[0]
    assert list(recognise(tmp_path / "test_labels.csv").entries) == ["all"]
    for entry in layout.entries.values():
        name, source = parse_entry(entry)
        reading = source.read(name)
        assert reading.images.objects == 1 and not reading.report.problems
        assert [c["name"] for c in reading.categories] == ["a", "b"]
