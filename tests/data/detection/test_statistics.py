"""Statistics of a data set are right."""

from typing import Any

import numpy as np
import pytest

from robust_det.data.detection.statistics import dataset_statistics


def test_statistics(document: Any) -> None:
    document["annotations"][0].update(iscrowd=1, area=5000.0, bbox=[0, 0, 50, 100])
    document["annotations"][1]["segmentation"] = {"size": [96, 96], "counts": "abc"}
    document["annotations"][2].pop("segmentation")
    document["images"].append({"id": 7, "file_name": "bare.png", "width": 50, "height": 40})
    found = dataset_statistics(document)
    objects = document["annotations"]
    assert (found["images"], found["objects"], found["crowd"]) == (7, len(objects), 1)
    for category, row in zip(document["categories"], found["classes"], strict=True):
        of_class = [a for a in objects if a["category_id"] == category["id"]]
        assert row["name"] == category["name"] and row["objects"] == len(of_class)
        assert row["images"] == len({a["image_id"] for a in of_class})
    counts = [sum(a["image_id"] == i["id"] for a in objects) for i in document["images"]]
    assert found["objects_per_image"]["none"] == 1
    assert found["objects_per_image"]["50%"] == np.median(counts)
    assert found["objects_per_image"]["mean"] == pytest.approx(len(objects) / 7, abs=1e-3)
    areas = np.array([a["area"] for a in objects])
    assert found["by_area"] == {
        "small": (areas < 1024).sum(),
        "medium": ((areas >= 1024) & (areas < 9216)).sum(),
        "large": 0,
    }
    boxes = np.array([a["bbox"] for a in objects])
    assert found["width"]["100%"] == boxes[:, 2].max() and found["height"]["100%"] == 100
    assert found["aspect"]["0%"] == pytest.approx((boxes[:, 2] / boxes[:, 3]).min(), abs=1e-3)
    assert found["image_sizes"]["most"] == [[96, 96, 6], [50, 40, 1]]
    assert found["masks"] == {"polygon": len(objects) - 2, "rle": 1, "none": 1}
