"""Loading many run records, and asking them: typed decoding against json and checks by hand.

The records are copies of one under docs/results that differ in name, eps, seed and figures, each in
a folder of its own; they come from the page cache. The sides take turns. What is timed is all that
stands between the folder and the runs that comparison groups: by hand that is json, a look at each
field, and a flat dictionary of what two runs have to share. ``records ls`` and ``records query``
are whole commands, from the start of Python to the end of the process. Seconds are those of the
processor, of one thread.

    python benchmarks/records.py
    python benchmarks/records.py --table benchmarks/records/records.jsonl
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from results import append_result, markdown_table, parse_arguments, read_results
from turns import in_turn

from robust_det.core.config.reading import flatten

ROOT = Path(__file__).resolve().parent.parent
# with 80 classes, the largest under docs/results
MODEL = ROOT / "docs/results/detection/matrix/runs/tiny_r18_eps0_coco100_mask/record.json"
REQUIRED = ("schema", "kind", "name", "arch", "norm", "eps", "metrics", "config", "environment")


def make_records(folder: Path, number: int) -> int:
    """Write records of schema 1 below ``1/`` and of today's below ``2/``; return a file's bytes."""
    from robust_det.records import SCHEMA
    from robust_det.records.upgrade import upgraded

    record = json.loads(MODEL.read_text())
    if record["schema"] != 1:
        raise SystemExit(f"{MODEL} is not of schema 1")
    for index in range(number):
        record.update(name=f"run{index}", eps=index % 100 / 10, seed=index // 100)
        record["weights"]["sha256"] = f"{index % 100:064x}"
        record["metrics"]["bbox"]["AP"] = 30 + index / number
        text = json.dumps(record, indent=1, sort_keys=True).encode()
        for schema, content in ((1, text), (SCHEMA, upgraded(text, 1, "detection"))):
            run = folder / str(schema) / f"run{index}"
            run.mkdir(parents=True)
            (run / "record.json").write_bytes(msgspec.json.format(content, indent=1))
    return (folder / str(SCHEMA) / "run0/record.json").stat().st_size


def typed(folder: Path) -> int:
    """Load the records of a folder as comparison does; return how many runs there are."""
    from robust_det.analysis.runs import runs_of
    from robust_det.records.store import find_records, load_records

    return len(runs_of(load_records(find_records([folder]).records)))


def listed(folder: Path) -> int:
    """List the runs with an eps, by their figures."""
    last = command("ls", str(folder), "eps>=0", "--sort", "value").splitlines()[-1]
    return int(last.removesuffix(" rows").replace(",", ""))


def queried(folder: Path) -> int:
    """Average over seeds by SQL."""
    sql = "SELECT eps, avg(value) AS mean, count(*) AS n FROM records GROUP BY eps"
    rows = json.loads(command("query", str(folder), sql, "--format", "json"))
    return sum(int(row["n"]) for row in rows)


def command(*words: str) -> str:
    """Run ``robust-det records`` in a process of its own and return what it prints."""
    line = [sys.executable, "-m", "robust_det", "records", *words]
    return subprocess.run(line, capture_output=True, text=True, check=True).stdout


def by_hand(folder: Path) -> int:
    """The same with json and checks by hand."""
    runs = []
    for path in sorted(folder.iterdir()):
        record = json.loads((path / "record.json").read_text())
        if record["schema"] != 1 or any(key not in record for key in REQUIRED):
            raise ValueError(path)
        for field, kind in (("name", str), ("arch", str), ("seed", int), ("environment", dict)):
            if not isinstance(record[field], kind):
                raise ValueError(field)
        metrics = {
            task: {name: math.nan if value is None else value for name, value in values.items()}
            for task, values in record["metrics"].items()
        }
        setting = {
            f"{part} data: {key}": value
            for part in ("train", "test")
            for one in record["data"][part]
            for key, value in one.items()
            if key != "annotations_file"
        }
        setting |= {"evaluator": record["evaluator"]["name"], **flatten(record["protocol"])}
        setting |= flatten(record["schedule"])
        runs.append((record["name"], metrics, setting, record["pictures"], record["environment"]))
    return len(runs)


def processor_seconds() -> float:
    """Return what this process and those that it has started and seen end have taken."""
    taken = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in taken)


def measure(number: int, rounds: int) -> dict[str, Any]:
    """Time the sides in turn."""
    from robust_det.records import SCHEMA, environment

    sides: dict[str, tuple[Callable[[Path], int], int]] = {
        "by hand, schema 1": (by_hand, 1),
        "typed, schema 1": (typed, 1),
        f"typed, schema {SCHEMA}": (typed, SCHEMA),
        f"records ls, schema {SCHEMA}": (listed, SCHEMA),
        f"records query, schema {SCHEMA}": (queried, SCHEMA),
    }
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = make_records(folder, number)
        few = folder / "few"
        make_records(few, 10)
        typed(few / "1"), queried(few / str(SCHEMA)), listed(few / str(SCHEMA))  # read modules
        for side, (load, schema) in in_turn(sides.items(), rounds):
            gc.collect()
            start = processor_seconds()
            found = load(folder / str(schema))
            seconds[side].append(processor_seconds() - start)
            if found != number:
                raise ValueError(f"{side} found {found} runs of {number}")
    return {
        "benchmark": "records",
        "settings": {"records": number, "rounds": rounds},
        "file_bytes": size,
        "cpu_seconds": {side: statistics.median(values) for side, values in seconds.items()},
        "environment": environment("cpu"),
    }


def table(path: Path) -> str:
    """Return the records as a Markdown table."""
    rows = []
    for result in read_results(path):
        seconds = result["cpu_seconds"]
        first = next(iter(sorted(seconds)))  # by hand
        rows += [
            (
                f"{result['settings']['records']:,} of {result['file_bytes'] / 1000:.0f} kB",
                side,
                f"{seconds[side]:.2f}",
                f"{seconds[first] / seconds[side]:.1f}x",
            )
            for side in sorted(seconds)
        ]
    return markdown_table(("records", "read", "s", "faster"), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=10_000, help="how many")
    parser.add_argument("--rounds", type=int, default=3)
    args = parse_arguments(parser, table)
    if args is None:
        return
    result = measure(args.records, args.rounds)
    print(f"{args.records} records of {result['file_bytes'] / 1000:.1f} kB")
    for side, seconds in result["cpu_seconds"].items():
        print(f"  {side:24s} {seconds:6.2f} s")
    if args.output:
        append_result(args.output, result)


if __name__ == "__main__":
    main()
