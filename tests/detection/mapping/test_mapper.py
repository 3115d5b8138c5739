"""Without jitter and copy-paste, the mapper gives what Detectron2's gives."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from detectron2.data import DatasetMapper, MetadataCatalog, build
from detectron2.structures import PolygonMasks
from PIL import Image

from robust_det.core.errors import UserError
from robust_det.core.seeding import seeded
from robust_det.detection.config import load_config
from robust_det.detection.finetuning.trainer import RobustTrainer
from robust_det.detection.finetuning.training_data import build_loader, training_images
from robust_det.detection.mapping import augmentation
from robust_det.detection.mapping.mapper import EvaluationMapper, TrainingMapper, build_mapper


def same(ours: Any, theirs: Any) -> None:
    """Assert that two mapped images are equal to the last bit."""
    assert ours.keys() == theirs.keys()
    for key, value in theirs.items():
        if key == "instances":
            fields = ours[key].get_fields()
            assert fields.keys() == value.get_fields().keys()
            assert ours[key].image_size == value.image_size
            for name, field in value.get_fields().items():
                if isinstance(field, PolygonMasks):
                    for a, b in zip(fields[name].polygons, field.polygons, strict=True):
                        np.testing.assert_array_equal(np.concatenate(a), np.concatenate(b))
                else:
                    a, b = (getattr(x, "tensor", x) for x in (fields[name], field))
                    torch.testing.assert_close(a, b, rtol=0, atol=0)
        elif isinstance(value, torch.Tensor):
            torch.testing.assert_close(ours[key], value, rtol=0, atol=0)
        else:
            assert ours[key] == value


def compare(cfg: Any, images: Any) -> None:
    ours, theirs = build_mapper(cfg, images), DatasetMapper(cfg, is_train=True)
    assert type(ours) is TrainingMapper
    for seed, image in enumerate([*images, *images]):
        before = copy.deepcopy(image)
        with seeded(seed):
            mine = ours(image)
        with seeded(seed):
            same(mine, theirs(image))
        assert image == before


@pytest.mark.parametrize(
    ("inputs", "overrides"),
    [
        ({"MASK_FORMAT": "polygon", "MIN_SIZE_TRAIN": [64, 80, 96], "MAX_SIZE_TRAIN": 112}, ()),
        ({"MIN_SIZE_TRAIN": [64, 96], "MIN_SIZE_TRAIN_SAMPLING": "range"}, ()),
        ({"RANDOM_FLIP": "vertical"}, ("MODEL.MASK_ON", "False")),
        ({"RANDOM_FLIP": "none", "FAST_JPEG": False}, ()),
        ({"CROP": {"ENABLED": True, "SIZE": [0.6, 0.6]}}, ("MODEL.MASK_ON", "False")),
    ],
    ids=["multi-scale polygons", "range of scales", "boxes", "fixed", "cropped"],
)
def test_it_is_detectron2s(inputs: Any, overrides: Any, load: Callable[..., Any]) -> None:
    compare(*load(overrides, **inputs))


def test_run_lengths_and_crowds_in_crops(run_lengths: Any, load: Callable[..., Any]) -> None:
    cfg, images = load(
        ["DATASETS.TRAIN", f"['{run_lengths}']"], CROP={"ENABLED": True, "SIZE": [0.6, 0.6]}
    )
    assert any(a["iscrowd"] for image in images for a in image["annotations"])
    compare(cfg, images)


def test_keypoints_proposals_and_jpeg(load: Callable[..., Any], tmp_path: Path) -> None:
    cfg, images = load(["MODEL.MASK_ON", "False"])
    cfg = cfg.clone()
    cfg.defrost()
    cfg.MODEL.KEYPOINT_ON = cfg.MODEL.LOAD_PROPOSALS = True
    names = {"keypoint_names": ("left", "right"), "keypoint_flip_map": [("left", "right")]}
    MetadataCatalog.get("with_keypoints").set(**names)
    cfg.DATASETS.TRAIN = ["with_keypoints"]
    for image in images:
        path = tmp_path / f"{image['image_id']}.jpg"
        Image.open(image["file_name"]).save(path)
        image["file_name"] = str(path)
        image["proposal_boxes"] = np.array([[1.0, 2.0, 30.0, 40.0], [5.0, 5.0, 60.0, 9.0]])
        image["proposal_bbox_mode"] = 0
        image["proposal_objectness_logits"] = np.array([2.0, 1.0])
        for a in image["annotations"]:
            a["keypoints"] = [10.0, 20.0, 2, 30.0, 40.0, 1]
    ours, theirs = TrainingMapper(cfg), DatasetMapper(cfg, is_train=True)
    for seed, image in enumerate(images[:6]):
        with seeded(seed):
            mine = ours(image)
        with seeded(seed):
            stock = theirs(image)
        assert len(mine["proposals"]) == 2
        for name, value in stock.pop("proposals").get_fields().items():
            other = mine["proposals"].get(name)
            assert torch.equal(getattr(other, "tensor", other), getattr(value, "tensor", value))
        del mine["proposals"]
        same(mine, stock)


def test_the_label_map_of_semantic_segmentation(load: Callable[..., Any], tmp_path: Path) -> None:
    cfg, images = load()
    labels = np.arange(96 * 96, dtype=np.uint8).reshape(96, 96) % 7
    Image.fromarray(labels).save(tmp_path / "labels.png")
    image = {**images[0], "sem_seg_file_name": str(tmp_path / "labels.png")}
    with seeded(3):
        mine = TrainingMapper(cfg)(image)
    with seeded(3):
        theirs = DatasetMapper(cfg, is_train=True)(image)
    assert mine["sem_seg"].unique().tolist() == list(range(7))
    same(mine, theirs)


def test_workers_map_as_the_main_process_does(load: Callable[..., Any], jitter: Any) -> None:
    batches = []
    for workers in ("0", "2"):
        cfg, images = load(
            ["DATALOADER.NUM_WORKERS", workers], LSJ=jitter, COPY_PASTE={"PROB": 0.7}
        )
        loader = build_loader(cfg, images, build_mapper(cfg, images))
        draws: Any = loader.plan.draws
        draws._seed = 5
        batches.append([batch for batch, _ in zip(loader, range(4), strict=False)])
    for one, other in zip(*batches, strict=True):
        for a, b in zip(one, other, strict=True):
            same(a, b)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_image_ends_training_in_one_line(
    workers: int, load: Callable[..., Any], tmp_path: Path
) -> None:
    cfg, images = load(["DATALOADER.NUM_WORKERS", str(workers)])
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8 no more")
    for image in images:
        image["file_name"] = str(broken)
    with pytest.raises(UserError, match=r"^cannot decode image .*broken\.jpg: ") as caught:
        next(iter(build_loader(cfg, images, build_mapper(cfg, images))))
    assert "worker" not in str(caught.value) and "Traceback" not in str(caught.value)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_or_missing_image_ends_evaluation_in_one_line(
    workers: int, load: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg, images = load(["DATALOADER.NUM_WORKERS", str(workers)])
    cut, empty, absent = (tmp_path / name for name in ("cut.png", "empty.png", "absent.png"))
    cut.write_bytes(Path(images[0]["file_name"]).read_bytes()[:-300])
    empty.touch()
    for path, reason in (
        (cut, f"^cannot decode image {cut}: it is truncated or damaged: .*LENIENT True goes on"),
        (empty, f"^cannot decode image {empty}: it is empty; "),
        (absent, f"^{absent}: .*No such file"),
    ):
        records = [{**image, "file_name": str(path)} for image in images]
        monkeypatch.setattr(
            build, "get_detection_dataset_dicts", lambda *_, records=records, **keys: records
        )
        with pytest.raises(UserError, match=reason) as caught:
            next(iter(RobustTrainer.build_test_loader(cfg, cfg.DATASETS.TEST[0])))
        assert "worker" not in str(caught.value) and "Traceback" not in str(caught.value)


def test_a_broken_semantic_map_is_named(load: Callable[..., Any], tmp_path: Path) -> None:
    cfg, images = load([])
    cut = tmp_path / "map.png"
    Image.new("L", (96, 96)).save(cut)
    cut.write_bytes(cut.read_bytes()[:60])
    mapper = build_mapper(cfg, images)
    with pytest.raises(UserError, match=f"^cannot decode semantic map {cut}: it is truncated"):
        mapper({**images[0], "sem_seg_file_name": str(cut)})


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_of_unknown_range_ends_evaluation_in_one_line(
    workers: int, load: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg, images = load(["DATALOADER.NUM_WORKERS", str(workers)])
    Image.fromarray(np.full((96, 96), 3, np.float32)).save(tmp_path / "bright.tif")
    records = [{**image, "file_name": str(tmp_path / "bright.tif")} for image in images]
    monkeypatch.setattr(build, "get_detection_dataset_dicts", lambda *args, **keys: records)
    with pytest.raises(
        UserError, match=r"^image .*bright\.tif has floating-point numbers"
    ) as caught:
        next(iter(RobustTrainer.build_test_loader(cfg, cfg.DATASETS.TEST[0])))
    assert "worker" not in str(caught.value) and "Traceback" not in str(caught.value)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (["INPUT.LSJ.SIZE", "0"], "INPUT.LSJ.SIZE is 0"),
        (["INPUT.LSJ.MIN_SCALE", "0"], "scales by 0.0 to 2.0; give MIN_SCALE above 0"),
        (["INPUT.LSJ.MAX_SCALE", "0.05"], "scales by 0.1 to 0.05"),
        (["INPUT.COPY_PASTE.PROB", "1.5"], "INPUT.COPY_PASTE.PROB is 1.5; it is from 0 to 1"),
        (["INPUT.COPY_PASTE.OBJECTS", "-1"], "INPUT.COPY_PASTE.OBJECTS is -1.0"),
        (["INPUT.COPY_PASTE.PROB", "1"], "needs images of one size; set INPUT.LSJ.ENABLED"),
        (
            ["INPUT.LSJ.ENABLED", "True", "INPUT.MASK_FORMAT", "polygon"],
            "set INPUT.MASK_FORMAT to bitmask",
        ),
        (["INPUT.LSJ.ENABLED", "True", "INPUT.CROP.ENABLED", "True"], "leave INPUT.CROP.ENABLED"),
        (
            ["INPUT.LSJ.ENABLED", "True", "INPUT.COPY_PASTE.PROB", "1", "MODEL.MASK_ON", "False"],
            "needs masks; set MODEL.MASK_ON",
        ),
        (
            [
                *("INPUT.LSJ.ENABLED", "True", "INPUT.COPY_PASTE.PROB", "1"),
                *("MODEL.KEYPOINT_ON", "True"),
            ],
            "leave MODEL.KEYPOINT_ON out",
        ),
    ],
)
def test_contradicting_keys_are_one_line(
    keys: Any, said: str, write_config: Callable[..., Path]
) -> None:
    with pytest.raises(UserError) as caught:
        load_config(str(write_config(INPUT={"MASK_FORMAT": "bitmask"})), keys)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_the_images_are_those_of_the_config(load: Callable[..., Any]) -> None:
    cfg, images = load()
    assert len(images) == len(training_images(cfg)) == 12


def test_evaluation_sees_what_detectron2s_mapper_gives(load: Callable[..., Any]) -> None:
    cfg, images = load(MIN_SIZE_TEST=80, MAX_SIZE_TEST=120)
    ours, theirs = EvaluationMapper(cfg), DatasetMapper(cfg, is_train=False)
    for image in images[:4]:
        before = copy.deepcopy(image)
        same(ours(image), theirs(image))
        assert image == before


def test_deep_images_are_scaled_alike_in_training_and_evaluation(
    load: Callable[..., Any], tmp_path: Path
) -> None:
    """Detectron2's reader makes white of all above 255."""
    cfg, images = load(MIN_SIZE_TRAIN=[96], MIN_SIZE_TEST=96, RANDOM_FLIP="none")
    values = np.random.default_rng(0).integers(0, 65536, (96, 96), dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    expected = np.rint(values / 257)
    for mapper in (TrainingMapper(cfg), EvaluationMapper(cfg)):
        seen = mapper({**images[0], "file_name": str(tmp_path / "deep.png")})["image"]
        np.testing.assert_array_equal(seen.numpy(), np.stack([expected] * 3))


def test_cutting_polygons_needs_shapely(
    write_config: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = ["INPUT.CROP.ENABLED", "True"]
    monkeypatch.setattr(augmentation, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"polygons of data set 'scenes_train' .* pip install shap"):
        load_config(str(write_config()), keys)
    load_config(str(write_config()), [*keys, "MODEL.MASK_ON", "False"])
    monkeypatch.setattr(augmentation, "find_spec", lambda name: name)
    load_config(str(write_config()), keys)
