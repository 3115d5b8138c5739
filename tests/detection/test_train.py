"""Fine-tuning from end to end: real images, the real tool, real records."""

import contextlib
import fcntl
import io
import json
import math
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
import torch
import yaml
from detectron2.config import get_cfg
from detectron2.utils.events import EventStorage
from PIL import Image
from pycocotools import mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from robust_det.analysis.compare import compare
from robust_det.analysis.runs import runs_of
from robust_det.checkpoints.io import load_checkpoint, save_checkpoint
from robust_det.conversion.convert import convert
from robust_det.core.config import flatten, to_dict
from robust_det.core.errors import UserError
from robust_det.core.files import sha256_file
from robust_det.detection.config import load_config, load_evaluation_config
from robust_det.detection.finetuning.jobs import FINAL, by_task, evaluate, finetune
from robust_det.detection.finetuning.trainer import RobustTrainer
from robust_det.models import build_classifier
from robust_det.records import read_record
from robust_det.records.base import Weights
from robust_det.records.store import load_records

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def command(config, *arguments):
    return [sys.executable, "tools/train_net.py", "--config", str(config), *arguments]


def tool(config, *arguments):
    return subprocess.run(
        command(config, *arguments), cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True
    )


def one_line_error(done, code=2):
    """The error of a tool that said nothing else."""
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    return done.stderr


@pytest.fixture(scope="module")
def finished(tmp_path_factory, scenes, backbone_file):
    """A finished run of the tool: its config, its folder and what it printed."""
    folder = tmp_path_factory.mktemp("finished")
    entries = [
        {
            "NAME": f"finished_{part}",
            "JSON": str(scenes / f"annotations/instances_{part}.json"),
            "IMAGES": str(scenes / part),
        }
        for part in ("train", "val")
    ]
    raw = {
        "_BASE_": str(ROOT / "configs/detection/base_small.yaml"),
        "OUTPUT_DIR": str(folder / "run"),
        "MODEL": {
            "WEIGHTS": str(backbone_file),
            "MASK_ON": True,
            "RESNETS": {"NORM": "BN"},
            "FPN": {"OUT_CHANNELS": 32},
            "ROI_BOX_HEAD": {"FC_DIM": 64},
            "ROI_MASK_HEAD": {"NUM_CONV": 1, "CONV_DIM": 16},
            "ROI_HEADS": {"SCORE_THRESH_TEST": 0.0},  # so that there is an AP to compare
        },
        "DATASETS": {"CUSTOM": entries, "TRAIN": ["finished_train"], "TEST": ["finished_val"]},
        "INPUT": {
            "MIN_SIZE_TRAIN": [96],
            "MAX_SIZE_TRAIN": 96,
            "MIN_SIZE_TEST": 96,
            "MAX_SIZE_TEST": 96,
        },
        "DATALOADER": {"NUM_WORKERS": 1},
        "SOLVER": {"MAX_ITER": 60, "STEPS": [50], "WARMUP_ITERS": 5, "CHECKPOINT_PERIOD": 10},
        "TEST": {"PICTURES": 3},
    }
    config = folder / "finished.yaml"
    config.write_text(yaml.safe_dump(raw))
    code, printed, terminal = on_a_terminal(command(config))
    assert code == 0, terminal
    return config, folder / "run", (printed, terminal)


def on_a_terminal(arguments):
    """Run a command whose standard error is a terminal; return its code and both outputs."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    process = subprocess.Popen(
        arguments, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=theirs, text=True
    )
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # how the end of a terminal is told
        while block := os.read(ours, 4096):
            shown += block
    os.close(ours)
    printed, _ = process.communicate()
    return process.returncode, printed, shown.decode()


def test_the_terminal_shows_bars_and_results_alone(finished):
    _, folder, (printed, terminal) = finished
    lines = [line.split("] ", 1)[1] for line in printed.splitlines()]
    assert lines[0].startswith("finished: iteration 0 of 60 on ")
    assert lines[1] == "learning rate 0.02 for 4 images an update"
    assert [line.split(" AP ")[0] for line in lines[2:]] == ["finished: bbox", "finished: segm"]
    shown = [re.sub(r"\x1b\[.", "", part) for part in re.split("[\r\n]", terminal)]
    stray = [s for s in shown if s.strip() and not s.lstrip().startswith(("train ", "evaluate "))]
    assert stray == []
    # with time left
    assert any("train run:" in s and "<" in s for s in shown)
    log = (folder / "log.txt").read_text()
    assert "Average Precision" in log and "total_loss" in log


def test_the_record_is_complete(finished, backbone_file, scenes):
    _, folder, _ = finished
    record = read_record(folder)
    assert (record.kind(), record.name) == ("detection", "finished")
    assert (record.arch, record.norm, record.eps) == ("resnet10_narrow", "l2", 0.5)
    assert record.weights.path == str(backbone_file)
    assert record.weights.sha256 == sha256_file(backbone_file)
    assert record.detector.sha256 == sha256_file(folder / FINAL)
    (train,), (test,) = record.data.train, record.data.test
    assert (train.images, test.images, test.classes) == (12, 6, 8)
    assert test.sha256 == sha256_file(scenes / "annotations/instances_val.json")
    assert record.schedule["SOLVER.MAX_ITER"] == 60
    assert record.seed == 0 and record.wall_time_s > 0
    assert record.config["MODEL"]["PIXEL_MEAN"] == pytest.approx([104.55, 132.6, 160.65])
    assert set(record.metrics) == {"bbox", "segm"}
    for key in ("MODEL.WEIGHTS", "OUTPUT_DIR", "MODEL.RESNETS.DEPTH", "SEED"):
        assert key not in record.protocol and key not in record.schedule
    for key in ("MODEL.RESNETS.NORM", "MODEL.BACKBONE.FREEZE_AT", "INPUT.MIN_SIZE_TRAIN"):
        assert key in record.protocol
    # features of our own that are off are no part of it
    ours = {**record.protocol, **record.schedule}.keys() - flatten(to_dict(get_cfg())).keys()
    assert not ours


def pycocotools_stats(annotations, results, task):
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(annotations))
        evaluation = COCOeval(truth, truth.loadRes(results), task)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats


def test_metrics_are_those_of_pycocotools(finished, scenes):
    _, folder, _ = finished
    saved = folder / "inference/finished_val/coco_instances_results.json"
    metrics = read_record(folder).metrics
    for task in ("bbox", "segm"):
        results = json.loads(saved.read_text())
        if task == "segm":
            # without boxes, so that the areas are those of the masks, as Detectron2 has it
            for result in results:
                result.pop("bbox")
        stats = pycocotools_stats(scenes / "annotations/instances_val.json", results, task)
        for name, value in zip(("AP", "AP50", "AP75", "APs", "APm", "APl"), stats, strict=False):
            expected = None if value < 0 else pytest.approx(100 * value, abs=1e-9)
            assert metrics[task][name] == expected
        assert metrics[task]["AP"] > 0


def test_pictures_are_readable(finished):
    _, folder, _ = finished
    pictures = read_record(folder).pictures
    assert len(pictures) == 3
    for entry in pictures:
        for kind in ("ground_truth", "prediction"):
            with Image.open(folder / getattr(entry, kind)) as image:
                assert image.format == "JPEG"
                image.load()
                assert min(image.size) >= 96
                assert len(set(image.convert("L").tobytes())) > 20  # something is in it


def test_comparison_reads_the_record(finished, tmp_path):
    _, folder, _ = finished
    (run,) = runs_of(load_records([folder / "record.json"]))
    assert (run.norm, run.eps, run.seed) == ("l2", 0.5, 0)
    assert len(run.pictures) == 3 and set(run.metrics) == {"bbox", "segm"}
    compare([folder], tmp_path / "report")
    page = (tmp_path / "report/index.html").read_text()
    assert f"{run.metrics['bbox']['AP']:.2f}" in page or f"{run.metrics['bbox']['AP']:.1f}" in page


def test_tensorboard_has_the_loss(finished):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    _, folder, _ = finished
    events = EventAccumulator(str(folder / "tensorboard")).Reload()
    points = events.Scalars("total_loss")
    logged = [json.loads(line) for line in (folder / "metrics.json").read_text().splitlines()]
    logged = {line["iteration"]: line["total_loss"] for line in logged if "total_loss" in line}
    assert points and all(math.isfinite(point.value) for point in points)
    assert points[-1].value == pytest.approx(logged[points[-1].step], rel=1e-5)


def test_checkpoints_say_what_they_are(finished, backbone_file):
    _, folder, _ = finished
    assert (folder / "last_checkpoint").read_text() == FINAL
    card = load_checkpoint(backbone_file)["robust_det"]
    for name, iteration in (("model_0000009.pth", 9), (FINAL, 59)):
        content = load_checkpoint(folder / name)
        assert content["iteration"] == iteration and content["robust_det"] == card


def test_eval_only_gives_the_same_and_leaves_the_run_alone(finished):
    config, folder, _ = finished
    before = (folder / "record.json").read_bytes()
    done = tool(config, "--eval-only")
    assert done.returncode == 0, done.stderr
    assert (folder / "record.json").read_bytes() == before
    trained, again = read_record(folder), read_record(folder / "eval")
    for task, values in trained.metrics.items():
        assert again.metrics[task] == pytest.approx(values, abs=1e-9, nan_ok=True)
    assert again.detector.sha256 == trained.detector.sha256
    one, two = runs_of(load_records([folder / "eval/record.json", folder / "record.json"]))
    assert one.setting == two.setting
    assert f"evaluating {folder / FINAL} on " in done.stdout
    assert f"record in {folder / 'eval'}" in done.stdout


def test_a_run_folder_can_be_moved(finished, tmp_path):
    _, folder, _ = finished
    moved = shutil.copytree(folder, tmp_path / "moved", ignore=shutil.ignore_patterns("eval"))
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    done = tool(moved / "config.yaml", "--eval-only", "TEST.PICTURES", "0")
    assert done.returncode == 0, done.stderr
    record = read_record(moved / "eval")
    assert (record.name, record.detector.path) == ("moved", str(moved / FINAL))
    (moved / FINAL).unlink()
    with pytest.raises(UserError, match=f"no detector at {moved / FINAL}; train it first"):
        load_evaluation_config(str(moved / "config.yaml"))
    # what the command line says comes first
    cfg, _, _ = load_evaluation_config(str(moved / "config.yaml"), ["OUTPUT_DIR", str(folder)])
    assert str(folder) == cfg.OUTPUT_DIR
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_evaluation_does_not_need_the_backbone(finished, backbone_file, tmp_path):
    config, folder, _ = finished
    where = ["MODEL.WEIGHTS", "robust://no_such_backbone", "OUTPUT_DIR", str(tmp_path)]
    cfg, card, detector = load_evaluation_config(str(config), where, None, folder / FINAL)
    evaluate(cfg, card, "without", detector)
    record, trained = read_record(tmp_path / "eval"), read_record(folder)
    assert (record.weights.path, record.weights.sha256) == ("robust://no_such_backbone", "")
    assert record.weights.source_sha256 == trained.weights.source_sha256 != ""
    assert (record.norm, record.eps) == ("l2", 0.5)
    assert record.metrics["bbox"] == pytest.approx(trained.metrics["bbox"], nan_ok=True)
    with pytest.raises(UserError, match="is a backbone; give the detector that was trained"):
        load_evaluation_config(str(config), [], None, backbone_file)
    error = one_line_error(tool(config, "--weights", str(folder / FINAL)))
    assert "--detector belongs to --eval-only" in error


def test_a_finished_run(finished):
    config, folder, _ = finished
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    done = tool(config, "--resume")
    assert done.returncode == 0 and "is finished already; nothing to do" in done.stdout
    with pytest.raises(UserError, match="pass --resume to continue it"):
        finetune(*load_config(str(config)), "finished")
    other = load_config(str(config), ["SOLVER.BASE_LR", "0.5", "SEED", "3"])
    with pytest.raises(UserError, match=r"SEED: 0 -> 3; SOLVER\.BASE_LR: 0\.02 -> 0\.5"):
        finetune(*other, "finished", resume=True)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_wrong_detectors_are_refused(finished, backbone_file, tmp_path, malicious, classifier_file):
    config, folder, _ = finished
    path, marker = malicious
    other = load_checkpoint(folder / FINAL)
    other["robust_det"]["source_sha256"] = "00" * 32
    save_checkpoint(tmp_path / "other.pth", other)
    cfg, card = load_config(str(config), ["OUTPUT_DIR", str(tmp_path / "run")])
    for file, message in (
        (path, "nothing was executed"),
        (backbone_file, "is a backbone, and its detector has yet to be trained"),
        (tmp_path / "other.pth", "was trained from the backbone of sha256 0000"),
        (classifier_file, "was trained from no backbone|is a classifier"),
    ):
        with pytest.raises(UserError, match=message):
            evaluate(cfg, card, "x", file)
    assert not marker.exists() and not (tmp_path / "run").exists()
    absent = tool(config, "--eval-only", "OUTPUT_DIR", str(tmp_path / "empty"))
    assert "train it first, or give --weights FILE" in one_line_error(absent)


def test_absent_gpus_are_one_line(finished):
    error = one_line_error(tool(finished[0], "--num-gpus", "99"))
    assert error.startswith("error: --num-gpus 99 was asked for, but there are ")


@pytest.mark.parametrize("sent, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_and_resumed(finished, tmp_path, sent, code):
    """A run that is stopped leaves no traceback, and continues from its last checkpoint.

    SIGTERM makes one on its way out.
    """
    config, folder = finished[0], tmp_path / "run"
    length = ["OUTPUT_DIR", str(folder), "SOLVER.MAX_ITER", "2000", "SOLVER.STEPS", "[1500]"]
    period, sign = ("3", "last_checkpoint") if sent == signal.SIGINT else ("1999", "metrics.json")
    arguments = [*length, "SOLVER.CHECKPOINT_PERIOD", period, "TEST.PICTURES", "0"]
    process = subprocess.Popen(
        command(config, *arguments),
        cwd=ROOT,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    written = False
    while not written and time.monotonic() < deadline:
        time.sleep(0.05)
        written = (folder / sign).exists() and (folder / sign).stat().st_size > 0
    process.send_signal(sent)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in errors
    assert not (folder / "record.json").exists()
    last = (folder / "last_checkpoint").read_text()
    if sent == signal.SIGTERM:
        # saved because of the signal: metrics.json is first written after 20 iterations
        assert 19 <= load_checkpoint(folder / last)["iteration"] < 1998
        return  # once is enough to resume
    start = load_checkpoint(folder / last)["iteration"] + 1
    # as long as a run that was asked for it from the start
    text = (folder / "config.yaml").read_text()
    text = text.replace("MAX_ITER: 2000", f"MAX_ITER: {start + 4}")
    (folder / "config.yaml").write_text(text)
    arguments[3] = str(start + 4)
    done = tool(config, "--resume", *arguments)
    assert done.returncode == 0, done.stderr
    assert f"iteration {start} of {start + 4}" in done.stdout
    assert load_checkpoint(folder / FINAL)["iteration"] == start + 3
    assert read_record(folder).schedule["SOLVER.MAX_ITER"] == start + 4


def test_killed_before_the_record_only_evaluates(finished, tmp_path):
    config, folder, _ = finished
    shutil.copytree(folder, tmp_path / "run")
    (tmp_path / "run/record.json").unlink()
    cfg, card = load_config(str(config), ["OUTPUT_DIR", str(tmp_path / "run")])
    finetune(cfg, card, "finished", resume=True)
    again, before = read_record(tmp_path / "run"), read_record(folder)
    assert again.metrics["bbox"] == pytest.approx(before.metrics["bbox"], nan_ok=True)
    assert again.wall_time_s >= 0.5 * before.wall_time_s  # that of the training counts


def test_malicious_resume_checkpoint(write_config, malicious, tmp_path):
    path, marker = malicious
    cfg, card = load_config(str(write_config()))
    folder = Path(cfg.OUTPUT_DIR)
    folder.mkdir()
    (folder / "config.yaml").write_text(cfg.dump())
    (folder / "model_0000003.pth").write_bytes(path.read_bytes())
    (folder / "last_checkpoint").write_text("model_0000003.pth")
    with pytest.raises(UserError, match="nothing was executed"):
        finetune(cfg, card, "x", resume=True)
    assert not marker.exists()


def test_loss_goes_down_on_a_fixed_batch(write_config):
    overrides = ["MODEL.RESNETS.NORM", "BN", "SOLVER.WARMUP_ITERS", "0", "SOLVER.BASE_LR", "0.02"]
    cfg, _ = load_config(str(write_config()), overrides)
    torch.manual_seed(0)
    model = RobustTrainer.build_model(cfg).train()
    optimizer = RobustTrainer.build_optimizer(cfg, model)
    batch = next(iter(RobustTrainer.build_train_loader(cfg)))
    losses = []
    with EventStorage():
        for _ in range(40):
            loss = sum(model(batch).values())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert sum(losses[-5:]) / 5 < 0.8 * sum(losses[:3]) / 3


def test_several_test_sets_and_evaluation_on_the_way(write_config, scenes, tmp_path):
    """Boxes alone, masks as run lengths in training, two test sets, evaluation every 2 steps."""
    document = json.loads((scenes / "annotations/instances_train.json").read_text())
    for a in document["annotations"]:
        encoded = mask.merge(mask.frPyObjects(a["segmentation"], 96, 96))
        a["segmentation"] = {"size": encoded["size"], "counts": encoded["counts"].decode()}
    (tmp_path / "rle.json").write_text(json.dumps(document))
    entries = load_config(str(write_config()))[0].DATASETS.CUSTOM
    rle = {"NAME": "scenes_rle", "JSON": str(tmp_path / "rle.json")}
    config = write_config(
        DATASETS={
            "CUSTOM": [*entries, {**rle, "IMAGES": str(scenes / "train")}],
            "TRAIN": ["scenes_rle"],
            "TEST": ["scenes_val", "scenes_rle"],
        },
        TEST={"EVAL_PERIOD": 2, "PICTURES": 1},
        SOLVER={"MAX_ITER": 4, "STEPS": [3], "IMS_PER_BATCH": 2},
    )
    cfg, card = load_config(str(config))
    finetune(cfg, card, "several")
    metrics = read_record(cfg.OUTPUT_DIR).metrics
    assert set(metrics) == {f"scenes_{s}/{t}" for s in ("val", "rle") for t in ("bbox", "segm")}
    (run,) = runs_of(load_records([cfg.OUTPUT_DIR]))
    assert set(run.metrics) == set(metrics)
    lines = (Path(cfg.OUTPUT_DIR) / "metrics.json").read_text().splitlines()
    evaluated = [line for line in map(json.loads, lines) if "scenes_val/bbox/AP" in line]
    assert evaluated


def test_by_task():
    one = {"bbox": {"AP": 1.0}, "segm": {"AP": 2.0}}
    assert by_task(one) == one
    assert by_task({"a": one, "b": {"bbox": {"AP": 3.0}}}) == {
        "a/bbox": {"AP": 1.0},
        "a/segm": {"AP": 2.0},
        "b/bbox": {"AP": 3.0},
    }


def short(cfg_path, *overrides):
    cfg, card = load_config(
        str(cfg_path), ["SOLVER.MAX_ITER", "1", "SOLVER.STEPS", "[]", *overrides]
    )
    finetune(cfg, card, "short")
    return Path(cfg.OUTPUT_DIR)


def test_without_a_backbone_the_record_says_so(write_config):
    folder = short(write_config(), "MODEL.WEIGHTS", "", "MODEL.BACKBONE.ARCH", "resnet10_narrow")
    record = read_record(folder)
    assert record.eps is None and record.weights == Weights("", "")
    # never taken for a standard backbone
    with pytest.raises(UserError, match="no detection run with an eps"):
        runs_of(load_records([folder]))


@pytest.mark.parametrize("eps", [None, 0.0])
def test_weights_of_torchvision(eps, write_config, tmp_path):
    state = build_classifier("resnet10_narrow", 4).body.state_dict()
    torch.save(state, tmp_path / "in.pth")
    convert(tmp_path / "in.pth", tmp_path / "out.pth", eps=eps)
    folder = short(write_config(), "MODEL.WEIGHTS", str(tmp_path / "out.pth"))
    if eps is None:
        with pytest.raises(UserError, match="no detection run with an eps"):
            runs_of(load_records([folder]))
    else:
        (run,) = runs_of(load_records([folder]))
        assert (run.eps, run.norm) == (0.0, None)


def test_a_detector_that_finds_nothing_has_an_ap_of_zero_in_both_tasks(write_config):
    folder = short(write_config(), "MODEL.ROI_HEADS.SCORE_THRESH_TEST", "1.0")
    metrics = read_record(folder).metrics
    assert metrics["bbox"]["AP"] == metrics["segm"]["AP"] == 0.0


def test_divergence_is_one_line(write_config):
    cfg, card = load_config(
        str(write_config()), ["SOLVER.BASE_LR", "1e20", "SOLVER.WARMUP_ITERS", "0"]
    )
    with pytest.raises(
        UserError, match=r"diverged at iteration \d+ \(.* Images: .*\.png.*\); lower SOLVER"
    ):
        finetune(cfg, card, "x")
