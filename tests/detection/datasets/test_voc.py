"""VOC folders become the same data as their COCO JSON; what is wrong in them is named."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets import register_pascal_voc
from detectron2.data.datasets.pascal_voc import CLASS_NAMES, load_voc_instances
from detectron2.structures import BoxMode
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from robust_det.core.errors import UserError
from robust_det.core.files import sha256_file
from robust_det.detection.datasets import describe_dataset, number_of_classes, prepare_dataset
from robust_det.detection.datasets.registration import ground_truth, prepared_dataset, source_of

SHARED = Path(__file__).parents[3].parent / "shared/data"
BCCD = ["RBC", "WBC", "Platelets"]


def loaded(name: Any, lenient: bool = False) -> Any:
    """What Detectron2 trains on, without folders, and without masks, which VOC's XML has not."""
    prepare_dataset(name, lenient)
    dicts = DatasetCatalog.get(name)
    for record in dicts:
        record["file_name"] = Path(record["file_name"]).name
        record.pop("image_id")
        for thing in record["annotations"]:
            thing.pop("segmentation", None)
    return dicts


def replace(voc: Any, number: Any, old: Any, new: Any) -> None:
    path = sorted((voc / "Annotations").iterdir())[number]
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))


def test_the_same_objects_as_through_coco_json(
    register: Callable[..., Any],
    register_entry: Callable[..., Any],
    voc: Path,
    document: dict[str, Any],
) -> None:
    names = [c["name"] for c in document["categories"]]
    own = register_entry(VOC=voc, SPLIT="test", CLASSES=names)
    assert loaded(own) == loaded(register())
    facts = describe_dataset(own)
    assert (facts.images, facts.annotations) == (6, len(document["annotations"]))
    assert facts.classes == tuple(names) and facts.masks == "none"


def test_boxes_are_those_of_detectron2(register_entry: Callable[..., Any], voc: Path) -> None:
    own = register_entry(VOC=voc, SPLIT="test")
    ours = loaded(own)
    theirs = load_voc_instances(str(voc), "test", list(describe_dataset(own).classes))
    for a, b in zip(ours, theirs, strict=False):
        corners = [
            BoxMode.convert(t["bbox"], t["bbox_mode"], BoxMode.XYXY_ABS) for t in a["annotations"]
        ]
        assert corners == [t["bbox"] for t in b["annotations"]]
        assert [t["category_id"] for t in a["annotations"]] == [
            t["category_id"] for t in b["annotations"]
        ]


@pytest.mark.skipif(not (SHARED / "bccd").is_dir(), reason="no BCCD")
@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_bccd_through_xml_and_json(split: str, register_entry: Callable[..., Any]) -> None:
    """BCCD counts pixels from 0, and two of its boxes are points, which its JSON leaves out."""
    root = SHARED / "bccd"
    xml = register_entry(VOC=root, SPLIT=split, CLASSES=BCCD, ORIGIN=0)
    coco = register_entry(JSON=root / f"coco/instances_{split}.json", IMAGES=root / "JPEGImages")
    assert loaded(xml, lenient=True) == loaded(coco)
    # image ids too: COCO evaluation and the order of training go by them
    assert [r["image_id"] for r in DatasetCatalog.get(xml)] == [
        r["image_id"] for r in DatasetCatalog.get(coco)
    ]
    if split != "test":
        with pytest.raises(UserError, match="1 box without area"):
            prepare_dataset(xml)
    # as VOC defines its coordinates, boxes begin a pixel earlier, and a point is a pixel
    one_based = register_entry(VOC=root, SPLIT=split, CLASSES=BCCD)
    moved = [
        t["bbox"] for r in loaded(one_based) for t in r["annotations"] if t["bbox"][2:] != [1, 1]
    ]
    boxes = [t["bbox"] for r in loaded(coco) for t in r["annotations"]]
    assert moved == [[x - 1, y - 1, w + 1, h + 1] for x, y, w, h in boxes]


def test_classes_are_those_of_all_splits_sorted(
    register_entry: Callable[..., Any], voc: Path, document: dict[str, Any]
) -> None:
    both = [register_entry(VOC=voc, SPLIT=split) for split in ("train", "test")]
    used = {a["category_id"] for a in document["annotations"]}
    names = sorted(c["name"] for c in document["categories"] if c["id"] in used)
    assert describe_dataset(both[0]).classes == tuple(names)
    assert describe_dataset(both[0]).images == 2
    assert number_of_classes(both) == len(names)


def test_the_json_is_made_once_and_again_when_sources_change(
    register_entry: Callable[..., Any], voc: Path, cache: Path
) -> None:
    first = describe_dataset(register_entry(VOC=voc, SPLIT="test"))
    (made,) = cache.glob("*.json")
    assert first.sha256 == sha256_file(made)
    again = describe_dataset(register_entry(VOC=voc, SPLIT="test"))
    assert again.sha256 == first.sha256
    replace(voc, 0, "<xmin>", "<xmin>1")
    replace(voc, 0, "<xmax>", "<xmax>1")
    # the classes and the order are as before, a box is not
    changed = register_entry(VOC=voc, SPLIT="test")
    assert prepare_dataset(changed, lenient=True).sha256 != first.sha256


def test_the_hash_does_not_depend_on_the_place(
    register_entry: Callable[..., Any], voc: Path
) -> None:
    first = describe_dataset(register_entry(VOC=voc, SPLIT="test"))
    moved = voc.rename(voc.with_name("elsewhere"))
    assert describe_dataset(register_entry(VOC=moved, SPLIT="test")).sha256 == first.sha256


def test_images_of_any_suffix_and_name(register_entry: Callable[..., Any], voc: Path) -> None:
    first, second, third = sorted((voc / "JPEGImages").iterdir())[:3]
    Image.open(first).convert("RGB").save(first.with_suffix(".jpg"))
    first.unlink()
    second.rename(second.with_name("another.PNG"))
    replace(voc, 0, first.name, "no_such_file.jpg")
    replace(voc, 1, second.name, r"C:\\pictures\\another.PNG")
    # a name copied from elsewhere does not count where an image has the annotation's
    replace(voc, 2, third.name, first.with_suffix(".jpg").name)
    names = [r["file_name"] for r in loaded(register_entry(VOC=voc, SPLIT="test"))]
    assert names[:3] == [first.with_suffix(".jpg").name, "another.PNG", third.name]


def test_classes_of_difficult_objects_alone_are_noted(
    register_entry: Callable[..., Any], voc: Path
) -> None:
    def reading() -> Any:
        name = register_entry(VOC=voc, SPLIT="test")
        return source_of(name).read(name)

    assert not reading().report.count("difficult_class")
    for path in (voc / "Annotations").iterdir():
        path.write_text(path.read_text().replace("<difficult>0", "<difficult>1"))
    found = reading()
    assert found.report.count("difficult_class") == len(found.categories) > 1
    assert not found.report.problems


def test_difficult_objects_are_trained_on_and_ignored_in_evaluation(
    register_entry: Callable[..., Any], voc: Path
) -> None:
    replace(voc, 0, "<difficult>0", "<difficult>1")
    name = register_entry(VOC=voc, SPLIT="test")
    facts = describe_dataset(name)
    dicts = DatasetCatalog.get(name)
    assert sum(len(r["annotations"]) for r in dicts) == facts.annotations
    assert not any(t["iscrowd"] for r in dicts for t in r["annotations"])
    truth = COCO(MetadataCatalog.get(name).json_file)
    difficult = [a for a in truth.dataset["annotations"] if a["iscrowd"]]
    assert len(difficult) == 1
    # what is difficult is called so until COCO is written
    assert ground_truth(name)["annotations"] == truth.dataset["annotations"]
    (image,) = [
        i for i in prepared_dataset(name).images if any("difficult" in a for a in i.objects)
    ]
    (thing,) = [a for a in image.objects if a.get("difficult")]
    assert {**difficult[0], "iscrowd": 0, "difficult": 1} == thing
    # all objects found but the difficult one, then with it: neither costs anything
    for found in (lambda a: not a["iscrowd"], lambda a: True):
        results = [
            {k: a[k] for k in ("image_id", "category_id", "bbox")} | {"score": 0.9}
            for a in truth.dataset["annotations"]
            if found(a)
        ]
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        assert evaluation.stats[0] == pytest.approx(1)


def test_lists_with_a_column_and_names_with_spaces(
    register_entry: Callable[..., Any], voc: Path
) -> None:
    main, path = voc / "ImageSets/Main", sorted((voc / "Annotations").iterdir())[0]
    path.with_name("with a space.xml").write_text(path.read_text())
    image = voc / "JPEGImages" / f"{path.stem}.png"
    image.with_name("with a space.png").write_bytes(image.read_bytes())
    (main / "some.txt").write_text(f"{path.stem}  1\n\nwith a space\n")
    names = [r["file_name"] for r in loaded(register_entry(VOC=voc, SPLIT="some"))]
    assert names == [image.name, "with a space.png"]


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("</annotation>", "", "1 malformed annotation file (first: "),
        ("<xmin>", "<xmin>x", "has the xmin 'x"),
        ("<xmin>", "<xmin>nan</xmin><xmin>", "has the xmin nan"),
        ("ymax>", "ymx>", "1 malformed annotation file"),
        ("<bndbox>", "<box/><bndbox2/><bndbox>", ""),
        ("<name>", "<title>x</title><name> </name><name>", "has no name"),
        ("<xmax>", "<xmax>9", "1 box partly outside its image"),
        ("<xmin>", "<xmin>9", "1 negative or infinite box"),
        ("<width>96", "<width>48", "1 image of another size than annotated"),
        ("<width>96", "<width>0", ""),
        ("<width>96", "<width>", ""),
    ],
)
def test_faults_in_an_annotation(
    old: str, new: str, message: str, register_entry: Callable[..., Any], voc: Path
) -> None:
    replace(voc, 0, old, new)
    name = register_entry(VOC=voc, SPLIT="test")
    if not message:
        # elements nobody reads, and a size that is not there, are no fault
        assert describe_dataset(name).images == 6
        return
    with pytest.raises(UserError) as caught:
        describe_dataset(name)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_faults_in_a_folder(register_entry: Callable[..., Any], voc: Path) -> None:
    stems = (voc / "ImageSets/Main/test.txt").read_text().split()
    (voc / "Annotations" / f"{stems[0]}.xml").unlink()
    (voc / "JPEGImages" / f"{stems[1]}.png").unlink()
    (voc / "JPEGImages" / f"{stems[2]}.png").write_bytes(b"no image")
    with (voc / "ImageSets/Main/test.txt").open("a") as file:
        file.write(f"{stems[3]}\n")
    with pytest.raises(UserError) as caught:
        describe_dataset(register_entry(VOC=voc, SPLIT="test"))
    for part in (
        f"1 missing image (first: {voc / 'JPEGImages' / stems[1]}",
        f"1 unreadable image (first: {voc / 'JPEGImages' / stems[2]}",
        f"1 image listed twice (first: {stems[3]} in test.txt)",
        f"1 image without its annotation file (first: {voc / 'Annotations' / stems[0]}.xml)",
    ):
        assert part in str(caught.value)
    with pytest.raises(UserError, match=r"no split .*tets\.txt; did you mean 'test'\?"):
        describe_dataset(register_entry(VOC=voc, SPLIT="tets"))
    with pytest.raises(UserError, match=r"no folder .*Annotations; a VOC folder holds"):
        describe_dataset(register_entry(VOC=voc / "JPEGImages", SPLIT="test"))
    text = (voc / "ImageSets/Main/test.txt").read_text()
    (voc / "ImageSets/Main/test.txt").write_text("\n")
    with pytest.raises(UserError, match="empty split: it lists no images"):
        describe_dataset(register_entry(VOC=voc, SPLIT="test"))
    (voc / "ImageSets/Main/test.txt").write_text(text)
    for path in (voc / "Annotations").iterdir():
        path.unlink()
    with pytest.raises(UserError) as without:
        describe_dataset(register_entry(VOC=voc, SPLIT="test"))
    said = f"none of the {len(text.split())} images of its split 'test', such as {stems[0]}, has an"
    assert said in str(without.value) and f"no XML file below {voc}" in str(without.value)


def test_a_class_that_is_not_listed(
    register_entry: Callable[..., Any], voc: Path, document: dict[str, Any]
) -> None:
    names = [c["name"] for c in document["categories"]]
    used = document["annotations"][0]["category_id"]
    missing = next(c["name"] for c in document["categories"] if c["id"] == used)
    name = register_entry(VOC=voc, SPLIT="test", CLASSES=[n for n in names if n != missing])
    with pytest.raises(UserError, match=f"of class(es)? .*first: '{missing}' in "):
        describe_dataset(name)


def _as_voc(voc: Any, name: Any) -> None:
    """Give every object a class of VOC, and register the folder as Detectron2 does its own."""
    for path in (voc / "Annotations").iterdir():
        before, *things = path.read_text().split("<name>")
        path.write_text("<name>".join([before, *("dog" + t[t.index("</name>") :] for t in things)]))
    for path in (voc / "JPEGImages").iterdir():
        Image.open(path).convert("RGB").save(path.with_suffix(".jpg"))
    register_pascal_voc(name, str(voc), "test", 2007)
    MetadataCatalog.get(name).evaluator_type = "pascal_voc"


def test_detectron2s_own_voc_sets(voc: Path, document: dict[str, Any]) -> None:
    _as_voc(voc, "voc_of_scenes")
    facts = prepare_dataset("voc_of_scenes")
    assert (facts.images, facts.annotations) == (6, len(document["annotations"]))
    assert facts.classes == CLASS_NAMES and facts.masks == "none" and len(facts.sha256) == 64
    # its own loader and evaluator are left in place
    assert not hasattr(MetadataCatalog.get("voc_of_scenes"), "json_file")
    assert len(DatasetCatalog.get("voc_of_scenes")) == 6


def test_faults_in_detectron2s_own_voc_sets(voc: Path) -> None:
    _as_voc(voc, "voc_with_faults")
    replace(voc, 0, "<name>dog", "<name>circle")
    next((voc / "JPEGImages").glob("*3.jpg")).unlink()
    for lenient in (False, True):
        with pytest.raises(UserError) as caught:
            prepare_dataset("voc_with_faults", lenient)
        text = str(caught.value)
        assert "1 missing image" in text and "(first: 'circle' in 000002000000.xml)" in text
        assert text.endswith("or name its folder as VOC in DATASETS.CUSTOM")


@pytest.mark.skipif(not (SHARED / "VOC2007").is_dir(), reason="no VOC2007")
def test_voc2007_itself(register_entry: Callable[..., Any]) -> None:
    root = SHARED / "VOC2007"
    register_pascal_voc("own_voc_2007", str(root), "test", 2007)
    MetadataCatalog.get("own_voc_2007").evaluator_type = "pascal_voc"
    facts = prepare_dataset("own_voc_2007")
    custom = register_entry(VOC=root, SPLIT="test", CLASSES=list(CLASS_NAMES))
    theirs = DatasetCatalog.get("own_voc_2007")
    assert facts.images == len(theirs) == describe_dataset(custom).images
    assert facts.annotations == sum(len(r["annotations"]) for r in theirs)
    sizes = json.loads(Path(MetadataCatalog.get(custom).json_file).read_text())["images"]
    assert [(s["width"], s["height"]) for s in sizes] == [(r["width"], r["height"]) for r in theirs]
