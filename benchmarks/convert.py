"""Our verified conversion against the bare recipe: load, rename, save.

The recipe is what Detectron2's own script for torchvision's ResNets does: torch.load, new names,
pickle.dump; it checks nothing. Ours recognises the file, checks every value, runs both networks on
random and on real images, and writes atomically. Each run is a fresh process; the sides take turns.
Seconds are those of the conversion after the imports, and of the whole command for ours. Memory is
the peak above what the imports take, relative to the file; pages of the file that are mapped count.

    python benchmarks/convert.py --arch resnet50
    python benchmarks/convert.py --table benchmarks/records/convert.jsonl
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from results import append_result, markdown_table, parse_arguments, read_results

ROOT = Path(__file__).resolve().parent.parent
KINDS = {
    "torchvision": "state dict, torch.save",
    "safetensors": "state dict, safetensors",
    "robustness": "robustness layout with optimizer, legacy torch.save",
}


def write_source(arch: str, kind: str, path: Path) -> None:
    """Write a file of random weights in one of the layouts that people have."""
    import torch

    from robust_det.models import get_architecture

    torch.manual_seed(0)
    body = get_architecture(arch).build(1000)
    state = body.state_dict()
    if kind == "torchvision":
        torch.save(state, path)
    elif kind == "safetensors":
        from safetensors.torch import save_file

        save_file(dict(state), path)
    else:
        inner = {f"module.model.{name}": value for name, value in state.items()}
        again = {f"module.attacker.model.{name}": value for name, value in state.items()}
        ends = {f"module.normalizer.new_{n}": torch.full((3, 1, 1), 0.5) for n in ("mean", "std")}
        momentum = {
            i: {"momentum_buffer": torch.zeros_like(p)} for i, p in enumerate(body.parameters())
        }
        content = {
            "model": {**ends, **inner, **again},
            "optimizer": {"state": momentum},
            "epoch": 90,
        }
        torch.save(content, path, _use_new_zipfile_serialization=False)


def recipe(source: Path, target: Path, kind: str) -> None:
    """Load, rename and save, as Detectron2's script does, for any of the layouts."""
    import torch

    if kind == "safetensors":
        from safetensors.torch import load_file

        state = load_file(source)
    else:
        state = torch.load(source, map_location="cpu", weights_only=True)
    if kind == "robustness":
        prefix = "module.model."
        state = {k[len(prefix) :]: v for k, v in state["model"].items() if k.startswith(prefix)}
    renamed = {}
    for name, tensor in state.items():
        new = name if "layer" in name else "stem." + name
        for i in (1, 2, 3, 4):
            new = new.replace(f"layer{i}", f"res{i + 1}")
        for i in (1, 2, 3):
            new = new.replace(f"bn{i}", f"conv{i}.norm")
        new = new.replace("downsample.0", "shortcut").replace("downsample.1", "shortcut.norm")
        renamed[new] = tensor.detach().numpy()
    with open(target, "wb") as file:
        pickle.dump({"model": renamed, "matching_heuristics": True}, file)


def one_run(side: str, source: Path, kind: str, target: Path) -> None:
    """Convert in this process and print what it took."""
    if side == "ours":
        from robust_det.conversion.convert import convert

        def job() -> Any:
            return convert(source, target, overwrite=True)
    else:
        import safetensors.torch  # noqa: F401  part of the imports, not of the conversion
        import torch  # noqa: F401

        def job() -> Any:
            return recipe(source, target, kind)

    pages = int(Path("/proc/self/statm").read_text().split()[1])
    before = pages * resource.getpagesize()
    start = time.perf_counter()
    job()
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "memory": peak - before}))


def measure(side: str, source: Path, kind: str, target: Path) -> dict[str, float]:
    """Run one side in a fresh process."""
    command = [sys.executable, __file__, "--side", side, "--source", str(source), "--kind", kind]
    done = subprocess.run(
        [*command, "--target", str(target)], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def whole_command(source: Path, target: Path) -> float:
    """Return the seconds of tools/convert_backbone.py, the start of Python included."""
    start = time.perf_counter()
    tool = str(ROOT / "tools/convert_backbone.py")
    subprocess.run(
        [sys.executable, tool, str(source), str(target), "--overwrite"],
        capture_output=True,
        check=True,
    )
    return time.perf_counter() - start


def compare(arch: str, kind: str, rounds: int) -> dict[str, Any]:
    """Measure both sides on one file, in turn."""
    from robust_det.records import environment

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "source" + (".safetensors" if kind == "safetensors" else ".pth"))
        write_source(arch, kind, source)
        runs: dict[str, list[dict[str, float]]] = {"ours": [], "recipe": []}
        command: list[float] = []
        for number in range(rounds):
            for side in list(runs)[:: -1 if number % 2 else 1]:
                target = Path(folder, f"{side}.pth")
                runs[side].append(measure(side, source, kind, target))
            command.append(whole_command(source, Path(folder, "command.pth")))
        size = source.stat().st_size
    seconds = {s: statistics.median(r["seconds"] for r in got) for s, got in runs.items()}
    memory = {s: max(r["memory"] for r in got) / size for s, got in runs.items()}
    return {
        "benchmark": "convert",
        "settings": {"arch": arch, "kind": kind, "rounds": rounds},
        "file_bytes": size,
        "seconds": seconds,
        "command_seconds": statistics.median(command),
        "memory_of_file": memory,
        "environment": environment("cpu"),
        "cores": len(os.sched_getaffinity(0)),
    }


def table(path: Path) -> str:
    """Return recorded results as a Markdown table."""
    rows = read_results(path)
    head = ["network", "file", "MB", "s, ours", "s, recipe", "s, command", "memory, ours", "recipe"]
    cells = []
    for row in rows:
        cells.append(
            [
                row["settings"]["arch"],
                KINDS[row["settings"]["kind"]],
                f"{row['file_bytes'] / 1e6:.0f}",
                f"{row['seconds']['ours']:.2f}",
                f"{row['seconds']['recipe']:.2f}",
                f"{row['command_seconds']:.2f}",
                f"{row['memory_of_file']['ours']:.2f}x",
                f"{row['memory_of_file']['recipe']:.2f}x",
            ]
        )
    return markdown_table(head, cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arch", default="resnet50")
    parser.add_argument("--kind", choices=list(KINDS), help="one file layout; all of them if unset")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--source", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--target", type=Path, help=argparse.SUPPRESS)
    args = parse_arguments(parser, table)
    if args is None:
        return
    if args.side:
        one_run(args.side, args.source, args.kind, args.target)
        return
    for kind in [args.kind] if args.kind else KINDS:
        result = compare(args.arch, kind, args.rounds)
        print(f"{args.arch}, {KINDS[kind]}, {result['file_bytes'] / 1e6:.0f} MB")
        for side in ("ours", "recipe"):
            seconds, memory = result["seconds"][side], result["memory_of_file"][side]
            print(f"  {side:7s} {seconds:6.2f} s, peak memory {memory:.2f}x the file")
        print(f"  the whole command of ours {result['command_seconds']:.2f} s")
        if args.output:
            append_result(args.output, result)


if __name__ == "__main__":
    main()
