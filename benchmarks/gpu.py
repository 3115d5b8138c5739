"""All that a GPU has to show, on whatever GPU there is, in under ten minutes.

Three parts, each against what people use otherwise, with peak memory:

* the adversarial step (PGD with 3 steps) against the bare passes it cannot do without, and against
  the `robustness` library's step where that is installed; one acceleration after the other;
* fine-tuning of Mask R-CNN against Detectron2's own trainer (benchmarks/train_step.py);
* evaluation: of a classifier, clean and under PGD, and of a detector against Detectron2's.

Each acceleration says what it does to the numbers: ``same bits``, ``rounding only``, or
``another method``. Without a GPU the same code runs in its small mode on the CPU, where the figures
mean nothing but that it runs.

    python benchmarks/gpu.py --output benchmarks/records/gpu.jsonl
    python benchmarks/gpu.py --table benchmarks/records/gpu.jsonl
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from adversarial_bench import Bench
from results import append_result, markdown_table, parse_arguments, read_results
from torch import nn
from turns import alternated

from robust_det.core.device import resolve_device
from robust_det.core.progress import progress_bar
from robust_det.records import environment

HERE = Path(__file__).resolve().parent
WARM_UP = 2  # calls of each side


@dataclass(frozen=True)
class Scale:
    """How large everything is."""

    arch: str
    size: int
    batch: int
    rounds: int
    detector_size: int
    detector_batch: int
    iterations: int
    full: bool
    images: int


FULL = Scale("resnet50", 224, 128, 8, 800, 8, 30, True, 64)
SMALL = Scale("resnet10_narrow", 32, 8, 2, 128, 2, 4, False, 8)


@dataclass(frozen=True)
class Way:
    """One way to do the adversarial step: accelerations, added one after the other."""

    name: str
    kind: str
    precision: str = "fp32"
    channels_last: bool = False
    folded: bool = False
    compiled: bool = False


WAYS = (
    Way("float32", "same bits"),
    Way("bf16", "another method", "bf16"),
    Way("channels_last", "rounding only", "bf16", True),
    Way("folded norms", "rounding only", "bf16", True, True),
    Way("compiled", "rounding only", "bf16", True, True, True),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--small", action="store_true", help="the small mode; always on a CPU")
    args = parse_arguments(parser, table)
    if args is None:
        return
    device = resolve_device(args.device)
    scale = SMALL if args.small or device.type == "cpu" else FULL
    parts: dict[str, Callable[[Scale, torch.device], list[dict[str, Any]]]] = {
        "adversarial step": adversarial_steps,
        "fine-tuning": fine_tuning,
        "evaluation": evaluations,
    }
    failed = []
    with progress_bar(len(parts), "measure", "part") as bar:
        for name, part in parts.items():
            start = time.perf_counter()
            try:
                rows = part(scale, device)
            except Exception as error:  # the other parts are worth having
                print(f"{name} failed: {type(error).__name__}: {error}", file=sys.stderr)
                failed.append(name)
                continue
            for row in rows:
                result = {
                    "benchmark": "gpu",
                    "part": name,
                    "scale": asdict(scale),
                    "environment": environment(str(device)),
                    **row,
                }
                print(json.dumps({k: v for k, v in row.items() if k != "runs"}), flush=True)
                if args.output:
                    append_result(args.output, result)
            print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)
            bar.update()
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


def adversarial_steps(scale: Scale, device: torch.device) -> list[dict[str, Any]]:
    """Time our step in each way beside its bound, and the library's step."""
    rows = []
    for way in WAYS:
        bench = Bench(
            argparse.Namespace(
                arch=scale.arch,
                size=scale.size,
                batch=scale.batch,
                classes=1000,
                steps=3,
                eps=1.0,
                precision=way.precision,
                channels_last=way.channels_last,
                device=str(device),
                weights=None,
                data=None,
            )
        )
        if way.compiled:
            bench.compile()
        sides = bench.sides()
        ours = sides["folded" if way.folded else "ours"]
        both = {"ours": ours, "bound": sides["bound"]}
        seconds = alternated(both, scale.rounds, device, WARM_UP)
        rows.append(
            {
                "way": way.name,
                "class": way.kind,
                "images_per_second": scale.batch / seconds["ours"],
                "of_bound": seconds["bound"] / seconds["ours"],
                "peak_memory": peak_memory(ours, device),
            }
        )
    if importlib.util.find_spec("robustness"):
        library = library_step(scale, device)
        seconds = alternated({"library": library}, scale.rounds, device, WARM_UP)["library"]
        rows.append(
            {
                "way": "robustness library, float32",
                "class": "another method",
                "images_per_second": scale.batch / seconds,
                "of_bound": None,
                "peak_memory": peak_memory(library, device),
            }
        )
    else:
        print("the robustness library is not installed: its step is not measured")
    return rows


def library_step(scale: Scale, device: torch.device) -> Callable[[], object]:
    """Return one step of the `robustness` library's training loop, as its authors call it."""
    from robustness.attacker import AttackerModel
    from robustness.datasets import DataSet

    from robust_det.models import IMAGENET_MEAN, IMAGENET_STD, get_architecture

    class Images(DataSet):
        def __init__(self) -> None:
            mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
            super().__init__(
                "images",
                "",
                num_classes=1000,
                mean=mean,
                std=std,
                custom_class=None,
                label_mapping=None,
                transform_train=None,
                transform_test=None,
            )

    torch.manual_seed(0)
    model = AttackerModel(get_architecture(scale.arch).build(1000), Images()).to(device).train()
    optimizer = torch.optim.SGD(model.parameters(), 1e-3, momentum=0.9, weight_decay=1e-4)
    images = torch.rand(scale.batch, 3, scale.size, scale.size, device=device)
    targets = torch.randint(0, 1000, (scale.batch,), device=device)
    attack = {
        "constraint": "2",
        "eps": 1.0,
        "step_size": 2 / 3,
        "iterations": 3,
        "random_start": False,
        "use_best": False,
        "do_tqdm": False,
    }

    def step() -> None:
        logits, _ = model(images, target=targets, make_adv=True, **attack)
        loss = nn.functional.cross_entropy(logits, targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def fine_tuning(scale: Scale, device: torch.device) -> list[dict[str, Any]]:
    """Time our trainer and Detectron2's in fresh processes."""
    arch = scale.arch
    sizes = ["--arch", arch, "--size", scale.detector_size, "--batch", scale.detector_batch]
    sizes += ["--iterations", scale.iterations, "--rounds", 1, "--device", device]
    sizes += ["--full"] if scale.full else []
    stock = ["--precision", "fp32", "--no-channels-last", "--no-fused", "--no-fold-norms"]
    stock += ["--no-table-roi-align"]
    ways = {
        "float32": ("same bits", stock),
        "bf16, channels_last, fused, folded norms": ("another method", []),
        # which merges frozen norms with what follows them, and refuses to have them folded
        "compiled, norms not folded": ("another method", ["--compile", "--no-fold-norms"]),
    }
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, (kind, switches)) in enumerate(ways.items()):
            file = Path(folder) / f"{number}.jsonl"
            command = [HERE / "train_step.py", *sizes, *switches, "--output", file]
            done = subprocess.run(
                [sys.executable, *map(str, command)], capture_output=True, text=True
            )
            if done.returncode:
                raise RuntimeError(done.stderr.strip().splitlines()[-1])
            (result,) = read_results(file)
            rows.append(
                {
                    "way": name,
                    "class": kind,
                    "seconds": result["seconds"],
                    "ratio": result["throughput_ratio"],
                    "peak_memory": result["peak_memory"]["ours"],
                }
            )
    return rows


def evaluations(scale: Scale, device: torch.device) -> list[dict[str, Any]]:
    """Time the evaluation of a classifier, and of a detector against Detectron2's."""
    return [*classifier_evaluations(scale, device), detector_evaluation(scale, device)]


def classifier_evaluations(scale: Scale, device: torch.device) -> list[dict[str, Any]]:
    """Time validation under PGD with 10 steps, as pretraining does it, in two precisions."""
    from robust_det.attacks import PGD, make_threat
    from robust_det.classification.evaluate import evaluate
    from robust_det.data.classification.image_list import Batch
    from robust_det.models import build_classifier
    from robust_det.training.world import World

    torch.manual_seed(0)
    model = build_classifier(scale.arch, 1000).to(device)
    shape = (scale.batch, 3, scale.size, scale.size)
    batch = Batch(
        torch.randint(0, 256, shape, dtype=torch.uint8),
        torch.randint(0, 1000, (scale.batch,)),
        torch.arange(scale.batch),
        [],
    )
    attack = PGD(make_threat("l2", 1.0), 10, 0.25, random_start=True, best_iterate=True)

    def side(dtype: torch.dtype | None) -> Callable[[], object]:
        return lambda: evaluate(
            model,
            [batch],
            attack,
            world=World(),
            device=device,
            length=scale.batch,
            amp_dtype=dtype,
        )

    rows = []
    for name, kind, dtype in (
        ("classifier, float32", "same bits", None),
        ("classifier, bf16", "another method", torch.bfloat16),
    ):
        seconds = alternated({"ours": side(dtype)}, scale.rounds, device, WARM_UP)["ours"]
        rows.append(
            {
                "way": name,
                "class": kind,
                "images_per_second": scale.batch / seconds,
                "ratio": None,
                "peak_memory": peak_memory(side(dtype), device),
            }
        )
    return rows


def detector_evaluation(scale: Scale, device: torch.device) -> dict[str, Any]:
    """Time our evaluation of a detector and Detectron2's: the network and the scoring."""
    import robust_det.detection  # noqa: F401  prepares Detectron2
    from detectron2.engine import DefaultTrainer  # isort: skip
    from detectron2.evaluation import COCOEvaluator  # isort: skip

    from robust_det.data.synthetic import write_coco
    from robust_det.detection.config import load_config
    from robust_det.detection.finetuning.trainer import RobustTrainer

    class Stock(DefaultTrainer):
        @classmethod
        def build_evaluator(cls, cfg: Any, name: str) -> Any:
            return COCOEvaluator(name, output_dir=cfg.OUTPUT_DIR, use_fast_impl=False)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_coco(folder / "scenes", train_images=2, val_images=scale.images, size=160)
        base = HERE.parent / "configs/detection/base_small.yaml"
        entries = "".join(
            f"    - {{NAME: gpu_{part}, JSON: {folder}/scenes/annotations/instances_{part}.json,"
            f" IMAGES: {folder}/scenes/{part}}}\n"
            for part in ("train", "val")
        )
        path = folder / "bench.yaml"
        path.write_text(
            f"_BASE_: {base}\nMODEL: {{BACKBONE: {{ARCH: {scale.arch}}}, DEVICE: {device.type}}}\n"
            f"DATASETS:\n  CUSTOM:\n{entries}  TRAIN: [gpu_train]\n  TEST: [gpu_val]\n"
            f"OUTPUT_DIR: {folder}\n"
        )
        cfg, _ = load_config(str(path))
        torch.manual_seed(0)
        model = RobustTrainer.build_model(cfg)

        def test(trainer: Any) -> Callable[[], object]:
            def run() -> None:
                with quiet():
                    trainer.test(cfg, model)

            return run

        sides = {"ours": test(RobustTrainer), "stock": test(Stock)}
        seconds = alternated(sides, scale.rounds, device, WARM_UP)
        return {
            "way": "detector, float32",
            "class": "same bits",
            "images_per_second": scale.images / seconds["ours"],
            "ratio": seconds["stock"] / seconds["ours"],
            "peak_memory": peak_memory(sides["ours"], device),
        }


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Leave out what evaluators print."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield


def peak_memory(side: Callable[[], object], device: torch.device) -> int | None:
    """Return the bytes that a call has allocated at its most; None on a CPU, which cannot say."""
    if device.type != "cuda":
        return None
    torch.cuda.reset_peak_memory_stats()
    side()
    return int(torch.cuda.max_memory_allocated())


def table(path: Path) -> str:
    """Return recorded results as one Markdown table a part."""
    rows = read_results(path)
    out = []
    for part in dict.fromkeys(row["part"] for row in rows):
        cells = [
            [
                row["way"],
                row["class"],
                row["environment"]["device"],
                shown(row.get("images_per_second"), ".1f"),
                shown(row.get("of_bound"), ".3f"),
                shown(row.get("ratio"), ".2f", "x"),
                shown(row["peak_memory"] and row["peak_memory"] / 1e9, ".2f"),
            ]
            for row in rows
            if row["part"] == part
        ]
        head = ["with", "numbers", "device", "images/s", "of the bound", "against stock", "GB"]
        out.append(f"**{part}**\n\n{markdown_table(head, cells)}")
    return "\n\n".join(out)


def shown(value: float | None, form: str, unit: str = "") -> str:
    """Return a figure, or nothing where there is none."""
    return "" if value is None else f"{value:{form}}{unit}"


if __name__ == "__main__":
    main()
