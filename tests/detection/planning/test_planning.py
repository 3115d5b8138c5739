"""``train --data``: from data and a backbone to a run, without a config."""

import json
import shutil
from pathlib import Path

import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog

from robust_det.core.config.reading import load_raw
from robust_det.detection.datasets import registration
from robust_det.records import read_record
from robust_det.records.detection import DetectionRecord
from tests.support import run_tool

FEW = (
    "SOLVER.MAX_ITER", "3", "SOLVER.STEPS", "[2]", "INPUT.MIN_SIZE_TRAIN", "[64]",
    "INPUT.MIN_SIZE_TEST", "64", "DATALOADER.NUM_WORKERS", "0", "TEST.PICTURES", "0",
    "MODEL.FPN.OUT_CHANNELS", "16", "MODEL.ROI_BOX_HEAD.FC_DIM", "16",
)  # fmt: skip


@pytest.fixture(autouse=True)
def here(tmp_path: Path, backbone_file: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROBUST_DET_BACKBONES", str(backbone_file.parent))
    return tmp_path


@pytest.fixture
def unsplit(here: Path, scenes: Path) -> Path:
    """Scenes without a split: one JSON, and its images."""
    # names of data sets are for a whole process, and each test has its own
    folder = here / here.name
    shutil.copytree(scenes / "train", folder / "images")
    shutil.copy(scenes / "annotations/instances_train.json", folder / "annotations.json")
    return folder


def test_data_alone_are_split_planned_and_trained(unsplit: Path, backbone_file: Path) -> None:
    name = backbone_file.stem
    done = run_tool("train_net", "--data", unsplit, "--backbone", name, *FEW)
    assert done.code == 0, done.error
    folder = Path(f"output/detection/{unsplit.name}_{name}")
    assert "expected time" in done.out and "held out by seed 0" in done.out
    record = read_record(folder, DetectionRecord)
    # what is held out, and what is learnt, are all there is, and nothing is both
    parts = [
        json.loads((folder / f"split/instances_{p}.json").read_text()) for p in ("train", "val")
    ]
    names = [{Path(i["file_name"]).name for i in part["images"]} for part in parts]
    assert not names[0] & names[1]
    assert names[0] | names[1] == {f.name for f in (unsplit / "images").iterdir()}
    assert record.name == folder.name
    # the same again is refused, and by --resume finished; so is the plan as a config
    again = run_tool("train_net", "--data", unsplit, "--backbone", name, *FEW)
    assert again.code == 2 and "pass --resume" in again.error
    for way in (("--data", unsplit, "--backbone", name), ("--config", folder / "plan.yaml")):
        more = FEW if way[0] == "--data" else ()
        done = run_tool("train_net", *way, "--resume", *more)
        assert done.code == 0 and "is finished already" in done.out, done.error


def test_two_backbones_get_the_same_split(unsplit: Path, backbone_file: Path, here: Path) -> None:
    other = here / "other.pth"
    shutil.copy(backbone_file, other)
    for backbone in (backbone_file, other):
        done = run_tool("train_net", "--data", unsplit, "--backbone", backbone, "--plan-only", *FEW)
        assert done.code == 0, done.error
        for part in ("train", "val"):  # as in another process
            DatasetCatalog.remove(f"{unsplit.name}_{part}")
            MetadataCatalog.remove(f"{unsplit.name}_{part}")
            registration._sources.pop(f"{unsplit.name}_{part}")
    texts = [
        (here / f"output/detection/{unsplit.name}_{b.stem}/split/instances_val.json").read_bytes()
        for b in (backbone_file, other)
    ]
    assert texts[0] == texts[1]


def test_an_edited_plan_is_kept(unsplit: Path, backbone_file: Path, here: Path) -> None:
    arguments = ("--data", unsplit, "--backbone", backbone_file.stem, "--plan-only", *FEW)
    assert run_tool("train_net", *arguments).code == 0
    assert run_tool("train_net", *arguments).code == 0  # the same
    plan = here / f"output/detection/{unsplit.name}_{backbone_file.stem}/plan.yaml"
    assert load_raw(plan)["SOLVER"]["MAX_ITER"] == 3
    text = plan.read_text().replace("MAX_ITER: 3", "MAX_ITER: 30")
    plan.write_text(text)
    done = run_tool("train_net", *arguments)
    assert done.code == 2 and "differs from what would be chosen now" in done.error
    assert plan.read_text() == text


def test_parts_that_are_there_are_taken(scenes: Path, backbone_file: Path, here: Path) -> None:
    done = run_tool(
        "train_net", "--data", scenes, "--backbone", backbone_file, "--plan-only",
        "OUTPUT_DIR", "out",
    )  # fmt: skip
    assert done.code == 0, done.error
    plan = load_raw(here / "out/plan.yaml")
    assert [e["JSON"] for e in plan["DATASETS"]["CUSTOM"]] == [
        str(scenes / f"annotations/instances_{part}.json") for part in ("train", "val")
    ]
    assert plan["MODEL"]["MASK_ON"] is True and not (here / "out/split").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), "give --data FOLDER_OR_FILE"),
        (("--data", "{data}", "--config", "demo_mask_eps0.yaml"), "give one of them"),
        (
            ("--data", "{data}", "--backbone", "{backbone}", "--eval-only"),
            "--config OUTPUT_DIR",
        ),
        (("--data", "{data}"), "your conversions"),
        (("--data", "{data}", "--backbone", "nothing"), "no backbone 'nothing'"),
        (("--data", "{data}", "--backbone", "no/such.pth"), "no/such.pth"),
        (("--data", "nowhere", "--backbone", "{backbone}"), "no file or folder nowhere"),
        (("--data", "{images}", "--backbone", "{backbone}"), "images"),
        (("--data", "{data}", "--backbone", "{backbone}", "SOLVER.MAX_ITERS", "3"), "MAX_ITER'?"),
        (("--data", "{data}", "--backbone", "{backbone}", "SOLVER.MAX_ITER", "no"), "needs a int"),
        (("--data", "{data}", "--backbone", "{backbone}", "SOLVER.IMS_PER_BATCH", "0"), "from 1"),
        (("--data", "{data}", "--backbone", "{backbone}", "DATASETS.TRAIN", "('a',)"), "the same"),
        (("--config", "demo_mask_eps0.yaml", "--plan-only"), "--plan-only belongs to --data"),
    ],
)
def test_mistakes_are_one_line(
    arguments: tuple[str, ...], expected: str, unsplit: Path, backbone_file: Path
) -> None:
    values = {"data": unsplit, "images": unsplit / "images", "backbone": backbone_file.stem}
    done = run_tool("train_net", *(text.format(**values) for text in arguments))
    assert done.code == 2 and expected in done.error and "\n" not in done.error
    assert not Path("output").exists()


def test_too_little_data_are_refused(unsplit: Path, backbone_file: Path) -> None:
    whole = json.loads((unsplit / "annotations.json").read_text())
    one = {**whole, "images": whole["images"][:1]}
    number = one["images"][0]["id"]
    one["annotations"] = [a for a in whole["annotations"] if a["image_id"] == number]
    for document, expected in (
        (one, "two are needed"),
        ({**whole, "annotations": []}, "no objects"),
    ):
        (unsplit / "annotations.json").write_text(json.dumps(document))
        done = run_tool("train_net", "--data", unsplit, "--backbone", backbone_file)
        assert done.code == 2 and expected in done.error, done.error
        assert not list(Path("output").rglob("plan.yaml"))
