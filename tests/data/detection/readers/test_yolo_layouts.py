"""YOLO folders as tools export them give the boxes that were drawn on the images, or one line."""

import unicodedata
from pathlib import Path

import pytest

from robust_det.core.errors import UserError
from robust_det.data.detection.readers.yolo_folder import YoloSource
from tests.support.exports import BOXES, FILES, NAMES, content, put, read, yolo

CLASSES = "cat\ndog\n"
YAML = "train: images/train\nval: images/train\nnames: [cat, dog]\n"


def lay_out(
    root: Path,
    images: str = "images/train/{}.png",
    labels: str = "labels/train/{}.txt",
    **files: str,
) -> Path:
    """Images, labels, and files by their names with ``__`` for ``.`` and ``___`` for ``/``."""
    for file in FILES:
        put(root, images.format(file))
        put(root, labels.format(file), content=yolo())
    for name, text in files.items():
        put(root, name.replace("___", "/").replace("__", "."), content=text)
    return root


def source(root: Path, split: str = "train") -> YoloSource:
    return YoloSource(str(root), split)


def assert_whole(root: Path, *notes: str, split: str = "train") -> None:
    reading = read(source(root, split), *notes)
    found = content(reading)
    assert [Path(name).stem for name in found] == list(FILES)
    for things in found.values():
        assert [t[0] for t in things] == [b[0] for b in BOXES]
        corners = [v for t in things for v in t[1:]]
        assert corners == pytest.approx([v for b in BOXES for v in b[1:]], abs=1e-3)
    assert [c["name"] for c in reading.categories] == list(NAMES)


WHOLE = "1 split without a list of its own (first: all 3 images below "


LABELS = "3 files found under another spelling of their names (first: labels/Train/a.txt is Labels/"


@pytest.mark.parametrize(
    "images, labels, names, notes",
    [
        ("images/{}.png", "labels/{}.txt", "classes.txt", (WHOLE,)),  # Label Studio
        ("train/images/{}.png", "train/labels/{}.txt", "train/labels/classes.txt", ()),  # LabelImg
        ("images/train/{}.png", "labels/train/{}.txt", "labels/train/classes.txt", ()),
        ("images/train/{}.png", "labels/train/{}.txt", "labels/classes.txt", ()),
        ("train/{}.png", "train/{}.txt", "train/classes.txt", ()),
        ("Images/Train/{}.png", "Labels/Train/{}.txt", "classes.txt", (LABELS,)),
        ("{}.png", "{}.txt", "classes.txt", (WHOLE,)),
        ("images/{}.png", "images/{}.txt", "images/classes.txt", (WHOLE,)),
    ],
)
def test_names_beside_or_among_the_labels(
    images: str, labels: str, names: str, notes: tuple[str, ...], tmp_path: Path
) -> None:
    assert_whole(put(lay_out(tmp_path, images, labels), names, content=CLASSES), *notes)


def test_what_is_held_out_is_never_all(tmp_path: Path) -> None:
    root = lay_out(tmp_path, "images/{}.png", "labels/{}.txt", classes__txt=CLASSES)
    with pytest.raises(UserError, match="holds no images of 'val' alone; SPLIT all takes all 3"):
        source(root, "val").read("set")
    assert_whole(root, split="all")


@pytest.mark.parametrize(
    "text, encoding, note",
    [
        ("\ufeffcat\r\ndog\r\n\r\n", "utf-8", ""),
        ("\ufeffcat\ndog\n", "utf-16-le", ""),
        ("cat\ndog\n", "utf-16-be", ""),
        ("Bär\ndog\n", "utf-8", ""),
        (
            "Bär\ndog\n",
            "cp1252",
            "1 text that is not UTF-8 and taken for Windows-1252 (first: 'Bär'",
        ),
    ],
)
def test_encodings_of_names(text: str, encoding: str, note: str, tmp_path: Path) -> None:
    root = put(lay_out(tmp_path), "classes.txt", content=text, encoding=encoding)
    reading = read(source(root), *filter(None, [note]))
    assert [c["name"] for c in reading.categories] == text.strip("\ufeff").split()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_encodings_of_labels_and_lists(encoding: str, tmp_path: Path) -> None:
    root = lay_out(tmp_path, data__yaml=YAML.replace("images/train", "list.txt"))
    for file in FILES:
        put(root, f"labels/train/{file}.txt", content=yolo().encode(encoding))
    lines = "".join(f"images\\train\\{file}.png\r\n" for file in FILES)
    put(root, "list.txt", content=lines.encode(encoding))
    text = (root / "data.yaml").read_text()
    put(root, "data.yaml", content=text.encode(encoding))
    assert_whole(root)


@pytest.mark.parametrize(
    "names, expected",
    [
        ("{'0': cat, '1': dog}", NAMES),
        ("{'1': dog, '0': cat}", NAMES),
        ("{1: dog, 0: cat}", NAMES),
        ("[yes, no]", ("yes", "no")),  # which YAML takes for true and false
        ("[2, 1.0]", ("2", "1.0")),
    ],
)
def test_names_in_yaml(names: str, expected: tuple[str, ...], tmp_path: Path) -> None:
    reading = read(source(lay_out(tmp_path, data__yaml=f"train: images/train\nnames: {names}\n")))
    assert tuple(c["name"] for c in reading.categories) == expected


@pytest.mark.parametrize(
    "names",
    ["{'0': cat, 0: dog}", "{0: cat, 1: dog, 1: bird}", "{'1': cat, '2': dog}", "{a: cat, b: dog}"],
)
def test_names_without_their_numbers(names: str, tmp_path: Path) -> None:
    root = lay_out(tmp_path, data__yaml=f"train: images/train\nnames: {names}\n")
    with pytest.raises(UserError, match="need the numbers from 0 on"):
        source(root).read("set")


@pytest.mark.parametrize(
    "yaml, message",
    [
        ("train: images/train\nnc: 3\nnames: [cat, dog]", "says nc: 3, and names 2 classes"),
        ("train:\nnames: [cat, dog]", "names no images for 'train'$"),
        ("train: images/train\nnames: classes.txt", "needs names, a list of the classes"),
        ("train: images/train\nnames: [[cat], dog]", "needs names, a list of the classes"),
        ("", "is not a mapping of keys to values"),
    ],
)
def test_faults_in_yaml(yaml: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        source(lay_out(tmp_path, data__yaml=yaml)).read("set")


@pytest.mark.parametrize(
    "yaml",
    [
        "train: images\\train\nnames: [cat, dog]",
        "path: C:\\sets\\own\ntrain: .\\images\\train\nnames: [cat, dog]",
        "train: ..\\images\\train\nnames: [cat, dog]",
        "train: Images/Train\nnames: [cat, dog]",
        "train: [images/train/a.png, images/train/b.png, images/train/c.png]\nnames: [cat, dog]",
    ],
)
def test_paths_in_yaml(yaml: str, tmp_path: Path) -> None:
    assert_whole(lay_out(tmp_path / "own", data__yaml=yaml))


def darknet(root: Path, **changes: str) -> Path:
    files = {
        "obj__data": "classes = 2\ntrain = data/train.txt\nnames = data/obj.names\nbackup = b/\n",
        "obj__names": CLASSES,
        "train__txt": "".join(f"data/obj_train_data/{file}.png\n" for file in FILES),
        **changes,
    }
    return lay_out(root, "obj_train_data/{}.png", "obj_train_data/{}.txt", **files)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"train__txt": "".join(f"obj_train_data/{file}.png\n" for file in FILES)},
        {"train__txt": "".join(f"/x/data/obj_train_data/{file}.png\n" for file in FILES)},
        {"train__txt": "".join(f"data\\obj_train_data\\{file}.png\r\n" for file in FILES)},
        {"obj__data": "train=build/x64/data/train.txt\nnames=/content/darknet/cfg/obj.names\n"},
        {"obj__data": "valid = train.txt\nnames = obj.names\nclasses=2"},
    ],
)
def test_darknet(changes: dict[str, str], tmp_path: Path) -> None:
    split = "val" if "valid" in changes.get("obj__data", "") else "train"
    assert_whole(darknet(tmp_path, **changes), split=split)
    assert_whole(tmp_path / "obj.data", split=split)


@pytest.mark.parametrize(
    "changes, message",
    [
        (
            {"obj__data": "classes = 3\ntrain = train.txt\nnames = obj.names"},
            "says classes = 3, and",
        ),
        ({"obj__data": "valid = train.txt\n"}, "names no images for 'train', only for valid"),
        ({"obj__data": "train = train.txt\n"}, "needs names, a file with a class on each line"),
        ({"obj__data": "train = lost.txt\nnames = obj.names"}, "has no images at .*lost.txt"),
        ({"obj__names": "cat\n\ndog\n"}, "line 2 of .*obj.names is empty"),
        ({"other__data": "x"}, "holds obj.data, other.data; name one of them"),
    ],
)
def test_faults_in_darknets_files(changes: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        source(darknet(tmp_path, **changes)).read("set")


def test_a_list_beside_the_names(tmp_path: Path) -> None:
    (darknet(tmp_path) / "obj.data").unlink()
    assert_whole(tmp_path)


@pytest.mark.parametrize("text", ["MODEL: {}\n", "val: true\n", "a: [", "- 1\n", "names: cat\n"])
def test_a_yaml_file_that_says_nothing_of_data(text: str, tmp_path: Path) -> None:
    root = lay_out(tmp_path, my_run__yaml=text)
    with pytest.raises(
        UserError, match=r"no names of classes; .*; my_run\.yaml there names neither"
    ):
        source(root).read("set")
    with pytest.raises(
        UserError, match=r"holds neither .*; my_run\.yaml there names neither classes"
    ):
        source(root, "test").read("set")
    assert_whole(put(root, "classes.txt", content=CLASSES))
    put(root, "own.yml", content="train: images/train\nnames: [a, b]\n")
    assert [c["name"] for c in read(source(root)).categories] == ["a", "b"]
    put(root, "more.yaml", content="train: images/train\nnames: [c, d]\n")
    with pytest.raises(UserError, match=r"holds more\.yaml, own\.yml; name one of them"):
        source(root).read("set")


def test_names_that_contradict_each_other(tmp_path: Path) -> None:
    root = lay_out(tmp_path, classes__txt=CLASSES, labels___classes__txt=CLASSES)
    assert_whole(root)
    put(root, "labels/classes.txt", content="dog\ncat\n")
    with pytest.raises(UserError, match=r"classes\.txt and .*labels/classes\.txt name different"):
        source(root).read("set")


def test_an_empty_line_among_the_names(tmp_path: Path) -> None:
    """It would shift the numbers of the classes after it."""
    with pytest.raises(UserError, match=r"line 2 of .*classes\.txt is empty, and lines are the"):
        source(lay_out(tmp_path, classes__txt="cat\n \ndog\n")).read("set")


def test_hidden_files_are_no_images(tmp_path: Path) -> None:
    root = lay_out(tmp_path, data__yaml=YAML)
    put(root, "images/train/.ipynb_checkpoints/a-checkpoint.png", "images/train/__MACOSX/d.png")
    put(root, "images/train/._a.png", "._data.yaml", content=b"\0\5\x16\7\0\2\0\0Mac OS X")
    assert_whole(root)
    lines = "".join(f"images/train/{file}.png\n" for file in (*FILES, "._a"))
    put(root, "list.txt", content=lines)
    put(root, "data.yaml", content=YAML.replace("images/train", "list.txt"))
    assert_whole(root, "1 hidden file that is listed, left out (first: images/train/._a.png in ")


COMPOSED, TAKEN_APART = (unicodedata.normalize(form, "Bär") for form in ("NFC", "NFD"))


@pytest.mark.parametrize(
    "image, label", [(COMPOSED, TAKEN_APART), (TAKEN_APART, COMPOSED), ("A", "a"), ("a.b", "A.B")]
)
def test_labels_in_another_spelling(image: str, label: str, tmp_path: Path) -> None:
    """They would be taken for missing, and the image for empty."""
    put(tmp_path, f"images/train/{image}.png")
    put(tmp_path, f"labels/train/{label}.txt", content=yolo())
    put(tmp_path, "data.yaml", content=YAML)
    found = content(read(source(tmp_path), "1 file found under another spelling of its name"))
    assert [len(things) for things in found.values()] == [2]


def test_labels_that_cannot_be_told(tmp_path: Path) -> None:
    put(tmp_path, "images/train/aa.png")
    put(tmp_path, "labels/train/Aa.txt", "labels/train/aA.txt", content=yolo())
    put(tmp_path, "data.yaml", content=YAML)
    complaint = source(tmp_path).read("set").report.complaint()
    assert "1 name that no single file fits (first: labels/train/aa.txt can be " in complaint


def test_labels_of_another_image_are_not_taken(tmp_path: Path) -> None:
    put(tmp_path, "images/train/a.png", "images/train/A.png", "images/train/b.png")
    put(tmp_path, "labels/train/A.txt", content=yolo())
    put(tmp_path, "data.yaml", content=YAML)
    reading = source(tmp_path).read("set")
    assert (
        "(first: labels/train/a.txt and labels/train/A.txt both fit" in reading.report.complaint()
    )
    assert {n: len(t) for n, t in content(reading).items()} == {"A.png": 2, "b.png": 0}


@pytest.mark.parametrize("labels", ["images/train/{}.txt", "Labels/train/{}.txt"])
def test_where_labels_may_be(labels: str, tmp_path: Path) -> None:
    notes = ("3 files found under another spelling",) if labels[0] == "L" else ()
    assert_whole(lay_out(tmp_path, labels=labels, data__yaml=YAML), *notes)
