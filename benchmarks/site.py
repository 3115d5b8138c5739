"""The site of many records: how long it takes to build, and how soon its pages are open.

The records are simulated: copies of committed ones whose figures are drawn, of 180 backbones with
their evaluations, transfers and detectors. The site is built by the command, in a process of its
own; its pages are opened in headless Chromium, from the request to the load event with all tables
arranged, the best of three.

    python benchmarks/site.py --output benchmarks/records/site.jsonl
    python benchmarks/site.py --table benchmarks/records/site.jsonl
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from results import append_result, markdown_table, parse_arguments, read_results

from robust_det.records import environment

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # for the simulated records of the tests
PAGES = ("index.html", "runs.html")


def measure(number: int) -> dict[str, Any]:
    from tests.site.simulated import write_simulated
    from tests.support.browser import browser_pages

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_simulated(folder / "runs", number)
        command = [sys.executable, ROOT / "tools" / "report.py", "--runs", folder / "runs"]
        start = time.perf_counter()
        subprocess.run([*command, "--output", folder / "site"], check=True, capture_output=True)
        seconds = time.perf_counter() - start
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        files = [path for path in (folder / "site").rglob("*") if path.is_file()]
        opened = {}
        with browser_pages() as pages:
            for page in PAGES:
                opened[page] = min(_load(pages, folder / "site" / page) for _ in range(3))
        return {
            "benchmark": "site",
            "records": number,
            "cores": len(os.sched_getaffinity(0)),
            "seconds": seconds,
            "processor_seconds": used.ru_utime + used.ru_stime,
            "files": len(files),
            "bytes": sum(path.stat().st_size for path in files),
            "opened_seconds": opened,
            "overview_bytes": (folder / "site" / PAGES[0]).stat().st_size,
            "environment": environment("cpu"),
        }


def _load(pages: Any, path: Path) -> float:
    page = pages.open(path)
    script = "performance.getEntriesByType('navigation')[0].loadEventEnd / 1000"
    seconds = float(page.evaluate(script))
    page.context.close()
    return seconds


def table(path: Path) -> str:
    """Return the records as a Markdown table."""
    head = (
        "records",
        "cores",
        "s to build",
        "processor s",
        "files",
        "MB",
        "s to open the overview",
    )
    rows = [
        (
            f"{one['records']:,}",
            one["cores"],
            f"{one['seconds']:.0f}",
            f"{one['processor_seconds']:.0f}",
            f"{one['files']:,}",
            f"{one['bytes'] / 1e6:.0f}",
            f"{one['opened_seconds']['index.html']:.2f}",
            f"{one['opened_seconds']['runs.html']:.2f}",
        )
        for one in read_results(path)
    ]
    return markdown_table((*head, "the list of runs"), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=3000)
    args = parse_arguments(parser, table)
    if args is None:
        return
    result = measure(args.records)
    print(
        f"{result['seconds']:.1f} s for {result['records']} records, {result['files']} files;"
        f" the overview is open after {result['opened_seconds']['index.html']:.2f} s"
    )
    if args.output:
        append_result(args.output, result)


if __name__ == "__main__":
    main()
