"""The scenes in COCO's panoptic format: shapes are things; behind them are sky and ground."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from pycocotools.coco import COCO

from robust_det.data.detection.readers.panoptic_json import PanopticSource
from robust_det.data.detection.segments import write_ids
from robust_det.data.detection.semantic_maps import make_semantic_maps

SKY, GROUND = 20, 30
VOID_ROWS = 4


def segments_of(coco: Any, image: Any) -> Any:
    """Ids and segments of an image: shapes, the sky's upper and the ground's lower half, and a few
    rows of void in between."""
    height, width = image["height"], image["width"]
    ids = np.zeros((height, width), dtype=np.int32)
    middle = height // 2
    ids[: middle - VOID_ROWS // 2], ids[middle + VOID_ROWS // 2 :] = 1000, 70000
    categories = {1000: SKY, 70000: GROUND}
    for number, thing in enumerate(coco.imgToAnns[image["id"]], start=1):
        ids[coco.annToMask(thing) > 0] = number
        categories[number] = thing["category_id"]
    segments = []
    for number in np.unique(ids[ids > 0]).tolist():
        rows, columns = np.nonzero(ids == number)
        left, top = int(columns.min()), int(rows.min())
        segments.append(
            {
                "id": number,
                "category_id": categories[number],
                "area": len(rows),
                "bbox": [left, top, int(columns.max()) - left + 1, int(rows.max()) - top + 1],
                "iscrowd": 0,
            }
        )
    return ids, segments


@pytest.fixture(scope="session")
def panoptic(tmp_path_factory: pytest.TempPathFactory, scenes: Path) -> Path:
    """The folder of ``{train,val}.json`` and of ``segments_{train,val}``; maps are made. Do not
    change it."""
    root = tmp_path_factory.mktemp("panoptic")
    for part in ("train", "val"):
        coco = COCO(str(scenes / f"annotations/instances_{part}.json"))
        images, annotations = coco.dataset["images"], []
        for image in images:
            ids, segments = segments_of(coco, image)
            file = f"{Path(image['file_name']).stem}.png"
            write_ids(root / f"segments_{part}" / file, ids)
            annotations.append(
                {"image_id": image["id"], "file_name": file, "segments_info": segments}
            )
        categories = [{**c, "isthing": 1} for c in coco.dataset["categories"]]
        categories += [
            {"id": SKY, "name": "sky-other-merged", "isthing": 0},
            {"id": GROUND, "name": "ground", "isthing": 0, "color": [90, 60, 30]},
        ]
        document = {"images": images, "annotations": annotations, "categories": categories}
        (root / f"{part}.json").write_text(json.dumps(document))
        source = PanopticSource(*sources(root, part), str(scenes / part))
        make_semantic_maps(part, source, workers=1)
    return root


def sources(root: Path, part: str) -> tuple[str, str, str]:
    return str(root / f"{part}.json"), f"{root}/segments_{part}", f"{root}/segments_{part}_stuff"


@pytest.fixture
def own_panoptic(tmp_path: Path, panoptic: Path) -> Path:
    """A copy that may be changed."""
    return Path(shutil.copytree(panoptic, tmp_path / "own_panoptic"))


@pytest.fixture
def panoptic_config(
    tmp_path: Path, scenes: Path, panoptic: Path, write_config: Callable[..., Path]
) -> Callable[..., Path]:
    """Return a function that writes the config of a tiny model on the panoptic scenes."""

    def write(
        base: Any, prefix: Any, root: Any = panoptic, objects: bool = True, **changes: Any
    ) -> Any:
        raw = yaml.safe_load(write_config().read_text())
        bases = Path(__file__).parents[3] / "configs/detection"
        raw["_BASE_"] = [raw["_BASE_"], str(bases / f"{base}.yaml")]
        raw["MODEL"]["MASK_ON"] = base == "base_panoptic_fpn"
        raw["MODEL"]["SEM_SEG_HEAD"] = {"CONVS_DIM": 32}
        raw["MODEL"]["PANOPTIC_FPN"] = {"COMBINE": {"STUFF_AREA_LIMIT": 64}}
        raw["DATASETS"] = {
            "CUSTOM": [
                {
                    "NAME": f"{prefix}_{part}",
                    "PANOPTIC": str(root / f"{part}.json"),
                    "SEGMENTS": str(root / f"segments_{part}"),
                    "IMAGES": str(scenes / part),
                    **(
                        {"JSON": str(scenes / f"annotations/instances_{part}.json")}
                        if objects
                        else {}
                    ),
                }
                for part in ("train", "val")
            ],
            "TRAIN": [f"{prefix}_train"],
            "TEST": [f"{prefix}_val"],
        }
        for section, values in changes.items():
            raw[section] = {**raw[section], **values}
        path = tmp_path / f"{prefix}.yaml"
        path.write_text(yaml.safe_dump(raw))
        return path

    return write
