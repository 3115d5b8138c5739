"""Panoptic data sets: semantic maps, what Detectron2 is told, and what is refused."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets.builtin_meta import COCO_CATEGORIES
from PIL import Image

from robust_det.core.errors import UserError
from robust_det.data.detection.readers.panoptic_json import PanopticSource
from robust_det.data.detection.segments import (
    read_ids,
    semantic_places,
    write_ids,
)
from robust_det.data.detection.semantic_maps import make_semantic_maps, semantic_map
from robust_det.data.synthetic import write_coco
from robust_det.detection.config import load_config
from robust_det.detection.datasets import register_custom
from robust_det.detection.datasets.panoptic_metadata import panoptic_metadata
from robust_det.detection.datasets.registration import prepare_dataset, source_of
from tests.support import run_tool

NAMES = iter(f"data_{number}" for number in range(1000))


@pytest.fixture
def register(scenes: Path, own_panoptic: Path) -> Callable[..., str]:
    """Return a function that registers the validation scenes, changed, under a fresh name."""

    def make(change: Any = None, objects: bool = True) -> Any:
        path = own_panoptic / "val.json"
        if change is not None:
            document = json.loads(path.read_text())
            change(document)
            path.write_text(json.dumps(document))
        name = next(NAMES)
        entry = {"NAME": name, "PANOPTIC": str(path), "IMAGES": str(scenes / "val")}
        entry["SEGMENTS"] = str(own_panoptic / "segments_val")
        if objects:
            entry["JSON"] = str(scenes / "annotations/instances_val.json")
        register_custom([entry])
        return name

    return make


def test_ids_are_the_three_bytes_of_a_pixel(tmp_path: Path) -> None:
    ids = np.array([[0, 1, 255, 256], [65535, 65536, 256**3 - 1, 70000]], dtype=np.int32)
    write_ids(tmp_path / "ids.png", ids)
    assert Image.open(tmp_path / "ids.png").getpixel((3, 1)) == (112, 17, 1)  # 70000
    assert np.array_equal(read_ids(tmp_path / "ids.png"), ids)


def test_a_semantic_map_by_hand() -> None:
    categories = [
        {"id": 90, "isthing": 0},
        {"id": 4, "isthing": 1},
        {"id": 20, "isthing": 0},
    ]
    places = semantic_places(categories)
    assert places == {4: 0, 20: 1, 90: 2}
    ids = np.array([[0, 7, 7], [70000, 5, 9]], dtype=np.int32)
    made = semantic_map(ids, {7: places[90], 70000: places[4], 5: places[20]})
    assert made.dtype == np.uint8
    assert made.tolist() == [[255, 2, 2], [0, 1, 255]]  # void, and an id that is not described


def test_metadata_of_coco_are_those_of_detectron2() -> None:
    ours = panoptic_metadata(COCO_CATEGORIES)
    theirs = MetadataCatalog.get("coco_2017_val_panoptic_separated")
    different = [key for key in ours if ours[key] != theirs.get(key)]
    assert different == ["stuff_colors"]
    assert ours["stuff_colors"][1:] == theirs.stuff_colors[1:]  # all but that of the things
    places = semantic_places(COCO_CATEGORIES)
    assert all(places[n] == i for n, i in theirs.stuff_dataset_id_to_contiguous_id.items() if n)


@pytest.mark.parametrize("split", ["train", "val"])
def test_detectron2s_data_sets_are_found(split: str) -> None:
    whole: Any = source_of(f"coco_2017_{split}_panoptic_separated")
    root = os.environ.get("DETECTRON2_DATASETS", "datasets")
    assert whole == PanopticSource(
        f"{root}/coco/annotations/panoptic_{split}2017.json",
        f"{root}/coco/panoptic_{split}2017",
        f"{root}/coco/panoptic_stuff_{split}2017",
        f"{root}/coco/{split}2017",
        f"{root}/coco/annotations/instances_{split}2017.json",
        published=True,
    )
    alone: Any = source_of(f"coco_2017_{split}_panoptic_stuffonly")
    assert (alone.json_file, alone.panoptic_json) == ("", whole.panoptic_json)


def test_what_a_run_reads(register: Callable[..., str], panoptic: Path) -> None:
    name = register()
    facts = prepare_dataset(name)
    assert (facts.images, facts.annotations, facts.masks) == (6, 13, "polygon")
    assert facts.stuff == ("things", "sky", "ground") and len(facts.classes) == 8
    for record in DatasetCatalog.get(name):
        made = np.asarray(Image.open(record["sem_seg_file_name"]))
        assert made.shape == (record["height"], record["width"])
        # rows of void behind the shapes
        assert set(np.unique(made[46:50]).tolist()) <= {0, 255}
    metadata = MetadataCatalog.get(name)
    assert metadata.stuff_dataset_id_to_contiguous_id == {0: 0, 20: 1, 30: 2}
    assert metadata.stuff_colors[2] == [90, 60, 30]

    alone = register(objects=False)
    facts = prepare_dataset(alone)
    assert (facts.classes, facts.stuff) == ((), ("things", "sky", "ground"))
    keys = {"file_name", "image_id", "height", "width", "sem_seg_file_name"}
    assert [set(record) for record in DatasetCatalog.get(alone)] == [keys] * 6


def refused(name: Any, lenient: bool = False) -> Any:
    with pytest.raises(UserError) as caught:
        prepare_dataset(name, lenient)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_maps_that_are_not_made_name_the_tool(
    register: Callable[..., str], own_panoptic: Path
) -> None:
    shutil.rmtree(own_panoptic / "segments_val_stuff")
    message = refused(register())
    assert "lacks the semantic maps of 6 images" in message
    assert "robust-det panoptic" in message


@pytest.mark.parametrize("objects", [True, False])
def test_images_without_segments_are_counted_and_can_be_left_out(
    objects: bool, register: Callable[..., str], own_panoptic: Path
) -> None:
    first, second, *_ = sorted((own_panoptic / "segments_val").iterdir())
    first.unlink()

    def change(document: Any) -> None:
        annotations = document["annotations"]
        document["annotations"] = [a for a in annotations if a["file_name"] != second.name]

    name = register(change, objects)
    assert "2 images without their segments" in refused(name)
    facts = prepare_dataset(name, lenient=True)
    left = DatasetCatalog.get(name)
    assert facts.images == len(left) == 4
    assert {Path(r["file_name"]).name for r in left}.isdisjoint({first.name, second.name})


def test_a_map_of_another_size(register: Callable[..., str], own_panoptic: Path) -> None:
    path = sorted((own_panoptic / "segments_val_stuff").iterdir())[0]
    Image.new("L", (96, 95)).save(path)
    message = refused(register())
    assert "1 semantic map of another size than its image" in message
    assert "96 x 95, its image 96 x 96" in message


def unlisted(document: Any) -> None:
    document["annotations"][0]["segments_info"][0]["category_id"] = 77


def without_segments(document: Any) -> None:
    del document["annotations"][2]["segments_info"]


def without_crowds(document: Any) -> None:
    del document["annotations"][2]["segments_info"][0]["iscrowd"]


def without_kind(document: Any) -> None:
    del document["categories"][0]["isthing"]


def all_things(document: Any) -> None:
    for category in document["categories"]:
        category["isthing"] = 1


def repeated(document: Any) -> None:
    document["categories"][1]["id"] = document["categories"][0]["id"]


def outside(document: Any) -> None:
    document["annotations"][1]["file_name"] = "../../elsewhere.png"


def named_ids(document: Any) -> None:
    document["annotations"][1]["segments_info"][0]["category_id"] = "sky"


def renamed(document: Any) -> None:
    document["categories"][0]["name"] = "disc"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (unlisted, "1 image with a segment of a class it does not list"),
        (without_segments, "each annotation needs image_id, file_name, segments_info"),
        (without_crowds, "needs id, category_id, area, bbox, iscrowd"),
        (without_kind, "each category needs id, name, isthing"),
        (all_things, "0 categories are no things"),
        (repeated, "categories need ids from 1, each its own"),
        (outside, "file_name '../../elsewhere.png' is not below"),
        (named_ids, "is not a number"),
        (renamed, "both need the same ids and names"),
        (dict.clear, "they need a list 'images'"),
    ],
)
def test_bad_annotations(change: Any, complaint: str, register: Callable[..., str]) -> None:
    assert complaint in refused(register(change))


def test_bad_files(own_panoptic: Path, register: Callable[..., str], tmp_path: Path) -> None:
    (own_panoptic / "val.json").write_text("{")
    assert "not in COCO's panoptic format (JSONDecodeError" in refused(register())
    (own_panoptic / "val.json").unlink()
    assert "no panoptic annotations at" in refused(register())
    Image.new("P", (8, 8)).save(tmp_path / "palette.png")
    with pytest.raises(UserError, match="image of mode P; COCO's are RGB"):
        read_ids(tmp_path / "palette.png")
    (tmp_path / "half.png").write_bytes(b"\x89PNG")
    with pytest.raises(UserError, match=r"cannot read segments .*half\.png"):
        read_ids(tmp_path / "half.png")


def test_segments_in_another_folder_are_found(
    own_panoptic: Path, register: Callable[..., str]
) -> None:
    elsewhere = own_panoptic / "annotations/unpacked"
    elsewhere.parent.mkdir()
    shutil.move(own_panoptic / "segments_val", elsewhere)
    error = refused(register())
    assert "none of the 6 PNG files of its segments" in error
    assert f"in {own_panoptic / 'segments_val'}; {elsewhere} has it: name that folder" in error
    shutil.rmtree(elsewhere)
    assert "they are files of their own beside the JSON" in refused(register())


@pytest.mark.parametrize(
    "entry",
    [
        {"PANOPTIC": "a.json", "IMAGES": "b"},
        {"PANOPTIC": "a.json", "SEGMENTS": "b", "IMAGES": "c", "SPLIT": "d"},
        {"PANOPTIC": "a.json", "SEGMENTS": "b", "IMAGES": "c", "JSON": 3},
    ],
)
def test_bad_entries(entry: Any) -> None:
    with pytest.raises(UserError, match="PANOPTIC, SEGMENTS, IMAGES"):
        register_custom([{"NAME": next(NAMES), **entry}])


def test_data_that_do_not_show_what_the_model_finds(
    panoptic_config: Callable[..., Path], write_config: Callable[..., Path]
) -> None:
    overrides = ["MODEL.META_ARCHITECTURE", "PanopticFPN"]
    with pytest.raises(
        UserError, match="needs semantic maps, and data set 'scenes_train' has none"
    ):
        load_config(str(write_config()), overrides)
    config = panoptic_config("base_semantic_fpn", "stuff", objects=False)
    with pytest.raises(
        UserError, match="needs objects, and data set 'stuff_train' has stuff alone"
    ):
        load_config(str(config), overrides)
    config = panoptic_config("base_panoptic_fpn", "maskless")
    with pytest.raises(UserError, match=r"needs the masks of objects; set MODEL\.MASK_ON"):
        load_config(str(config), ["MODEL.MASK_ON", "False"])
    with pytest.raises(UserError, match=r"SEM_SEG_HEAD\.NUM_CLASSES is 54 .* needs 3; leave"):
        load_config(str(config), ["MODEL.SEM_SEG_HEAD.NUM_CLASSES", "54"])


def test_objects_alone_are_learnt_from_panoptic_data_too(
    panoptic_config: Callable[..., Path],
) -> None:
    config = panoptic_config("base_panoptic_fpn", "boxes")
    cfg, _ = load_config(str(config), ["MODEL.META_ARCHITECTURE", "GeneralizedRCNN"])
    assert cfg.MODEL.ROI_HEADS.NUM_CLASSES == 8
    assert cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES == 54  # as it was


@pytest.fixture(scope="module")
def coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """COCO's layout and categories, on scenes: shapes are people, what is behind them is a wall."""
    root = tmp_path_factory.mktemp("datasets")
    folder = root / "coco"
    write_coco(folder, train_images=3, val_images=2, size=96)
    people = [c for c in COCO_CATEGORIES if c["isthing"]]
    for part in ("train", "val"):
        (folder / part).rename(folder / f"{part}2017")
        path = folder / f"annotations/instances_{part}.json"
        document = json.loads(path.read_text())
        annotations = []
        for image in document["images"]:
            ids = np.full((96, 96), 3000, dtype=np.int32)
            ids[20:60, 20:60] = 1
            segments = [
                {"id": 1, "category_id": 1, "area": 1600, "bbox": [20, 20, 40, 40], "iscrowd": 0},
                {
                    "id": 3000,
                    "category_id": 199,
                    "area": 7616,
                    "bbox": [0, 0, 96, 96],
                    "iscrowd": 0,
                },
            ]
            write_ids(folder / f"panoptic_{part}2017" / image["file_name"], ids)
            annotations.append(
                {
                    "image_id": image["id"],
                    "file_name": image["file_name"],
                    "segments_info": segments,
                }
            )
        panoptic = {**document, "annotations": annotations, "categories": COCO_CATEGORIES}
        (folder / f"annotations/panoptic_{part}2017.json").write_text(json.dumps(panoptic))
        document["categories"] = people
        for thing in document["annotations"]:
            thing["category_id"] = 1
        path.rename(folder / f"annotations/instances_{part}2017.json")
        (folder / f"annotations/instances_{part}2017.json").write_text(json.dumps(document))
    return root


def test_coco_from_the_command_line(coco: Path, backbone_file: Path, tmp_path: Path) -> None:
    # Detectron2 reads it once, at its import
    place: dict[str, Any] = {"process": True, "environment": {"DETECTRON2_DATASETS": str(coco)}}
    done = run_tool("prepare_panoptic", "--workers", 2, **place)
    assert done.code == 0, done.err
    for part, count in (("train", 3), ("val", 2)):
        made = sorted((coco / f"coco/panoptic_stuff_{part}2017").iterdir())
        assert len(made) == count
        assert f"{count} maps written to {made[0].parent}" in done.out
        pixels = np.asarray(Image.open(made[0]))
        assert np.all(pixels[20:60, 20:60] == 0) and pixels[0, 0] == 52  # the last but one
    overrides = ["INPUT.MIN_SIZE_TRAIN", "[64]", "INPUT.MIN_SIZE_TEST", "64", "TEST.PICTURES", "0"]
    overrides += ["DATALOADER.NUM_WORKERS", "0", "SOLVER.IMS_PER_BATCH", "2", "SOLVER.STEPS", "[]"]
    overrides += ["SOLVER.MAX_ITER", "2", "OUTPUT_DIR", str(tmp_path / "run")]
    overrides += ["MODEL.FPN.OUT_CHANNELS", "16", "MODEL.SEM_SEG_HEAD.CONVS_DIM", "32"]
    config = ("--config", "coco_semantic_fpn_1x.yaml", "--backbone", backbone_file)
    trained = run_tool("train_net", *config, *overrides, **place)
    assert trained.code == 0, trained.err
    record = json.loads((tmp_path / "run/record.json").read_text())
    assert record["config"]["MODEL"]["SEM_SEG_HEAD"]["NUM_CLASSES"] == 54
    assert "IoU-wall" in record["metrics"]["sem_seg"]


def test_maps_are_made_once(scenes: Path, own_panoptic: Path) -> None:
    source = PanopticSource(
        str(own_panoptic / "val.json"),
        str(own_panoptic / "segments_val"),
        str(own_panoptic / "segments_val_stuff"),
        str(scenes / "val"),
    )
    made = sorted(Path(source.stuff_root).iterdir())
    before = made[0].read_bytes()
    assert make_semantic_maps("val", source, workers=1) == 0
    made[0].write_bytes(b"")
    made[1].unlink()
    assert make_semantic_maps("val", source, workers=1) == 1
    assert make_semantic_maps("val", source, workers=2, overwrite=True) == 6
    assert made[0].read_bytes() == before
    next(Path(source.panoptic_root).iterdir()).unlink()
    assert make_semantic_maps("val", source, workers=1) == 0
    shutil.rmtree(source.stuff_root)
    with pytest.raises(UserError, match="lacks the segments of 1 images, such as"):
        make_semantic_maps("val", source, workers=1)


def test_maps_of_other_annotations_are_noticed_and_made_anew(
    scenes: Path, own_panoptic: Path
) -> None:
    path, root = own_panoptic / "val.json", own_panoptic / "segments_val"
    source = PanopticSource(str(path), str(root), f"{root}_stuff", str(scenes / "val"))
    document = json.loads(path.read_text())
    document["info"] = "of another day"
    path.write_text(json.dumps(document))
    source.read("val")  # the classes are the same
    first = document["annotations"][0]
    ground = next(s for s in first["segments_info"] if s["category_id"] == 30)
    ground["category_id"] = 20
    path.write_text(json.dumps(document))
    with pytest.raises(UserError, match=r"1 semantic maps in .* were made from other"):
        source.read("val")
    made = Path(source.stuff_root) / first["file_name"]
    before = np.asarray(Image.open(made))
    assert make_semantic_maps("val", source, workers=1) == 1
    after, ids = np.asarray(Image.open(made)), read_ids(root / first["file_name"])
    assert np.array_equal(after != before, ids == ground["id"]) and (after != before).any()
    source.read("val")
    # part of them in another file: both agree
    part = path.with_name("part.json")
    part.write_text(json.dumps({**document, "annotations": document["annotations"][:2]}))
    assert make_semantic_maps("part", replace(source, panoptic_json=str(part)), workers=1) == 0
    source.read("val")
    # and maps that came from elsewhere are taken as they are
    Path(f"{source.stuff_root}.made").unlink()
    ground["category_id"] = 30
    path.write_text(json.dumps(document))
    source.read("val")


def test_a_map_of_a_class_that_is_not_listed(scenes: Path, own_panoptic: Path) -> None:
    path = own_panoptic / "val.json"
    document = json.loads(path.read_text())
    unlisted(document)
    path.write_text(json.dumps(document))
    source = PanopticSource(
        str(path),
        str(own_panoptic / "segments_val"),
        str(own_panoptic / "new"),
        str(scenes / "val"),
    )
    with pytest.raises(UserError, match="have a segment of category 77 in"):
        make_semantic_maps("val", source, workers=1)


def test_the_tool_says_what_is_missing(tmp_path: Path) -> None:
    place = {"DETECTRON2_DATASETS": str(tmp_path)}
    done = run_tool("prepare_panoptic", process=True, environment=place)
    assert done.code == 2 and "no panoptic annotations at" in done.error


def test_ids_in_16_bits_are_refused(tmp_path: Path) -> None:
    """Pillow would give their upper bytes, which are other ids."""
    cv2.imwrite(str(tmp_path / "ids.png"), np.full((4, 5, 3), 7, np.uint16))
    with pytest.raises(UserError, match="of mode RGB with 16 bits; COCO's are RGB"):
        read_ids(tmp_path / "ids.png")
