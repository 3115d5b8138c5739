"""Every block of code in the documents is right as it stands.

Commands are expanded by bash itself, where each program is a stand-in that notes how it was called,
and then read by the tools' own parsers; Python is executed on small stand-ins; YAML is merged into
the defaults. A block or a program that is not known here fails: say below how it is treated.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from robust_det.classification.settings import pretrain_defaults
from robust_det.commands.index import COMMANDS
from robust_det.core.config.reading import find_config, merge_config, overrides_to_dict
from robust_det.core.errors import UserError
from robust_det.data.detection.entries import parse_entry
from robust_det.detection.config import detection_defaults
from robust_det.detection.datasets.registration import prepared_dataset, register_custom
from robust_det.transfer.settings import transfer_defaults
from tests.support import ROOT

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_FENCE = re.compile(r"^( *)```([^\n`]*)\n(.*?)^\1```$", re.M | re.S)
# files that a reader has, or has just made
OWN_CONFIGS = {
    "mine.yaml",
    "my.yaml",
    "my_cells.yaml",
    "my_config.yaml",
    "plan.yaml",
    "config.yaml",
}
# programs of others, whose arguments are theirs to read
OTHERS = {
    "apt-get",
    "bash",
    "chromium",
    "curl",
    "docker",
    "export",
    "git",
    "ls",
    "mkdir",
    "nohup",
    "open",
    "pip",
}
OTHERS |= {"python3", "sbatch", "srun", "tensorboard", "unzip", "uv", "wget", "xdg-open"}
OURS = {"make", "python", "robust-det", "taskset", "torchrun"}


@dataclass(frozen=True)
class Block:
    """A fenced block: of which document, the how manieth, its language and its lines."""

    document: Path
    number: int
    language: str
    text: str

    def __str__(self) -> str:
        name = self.document.relative_to(ROOT).with_suffix("")
        return f"{name}-{self.number}".replace("/", "-")


def blocks_of(document: Path) -> list[Block]:
    """Return the fenced blocks of a document."""
    found = enumerate(_FENCE.finditer(document.read_text(encoding="utf-8")), 1)
    return [
        Block(document, n, m[2].strip(), re.sub(rf"^{m[1]}", "", m[3], flags=re.M))
        for n, m in found
    ]


BLOCKS = [block for document in DOCUMENTS for block in blocks_of(document)]


def of(*languages: str) -> Any:
    chosen = [block for block in BLOCKS if block.language in languages]
    return pytest.mark.parametrize("block", chosen, ids=str)


def test_each_block_says_its_language() -> None:
    # one without is a picture made of letters
    assert {block.language for block in BLOCKS} <= {"", "bash", "python", "text", "yaml"}
    assert sum(block.language == "bash" for block in BLOCKS) > 5
    fences = sum(d.read_text().count("\n```") for d in DOCUMENTS)
    assert fences <= 2 * len(BLOCKS), "a fence is never closed"


def calls_in(script: str, folder: Path) -> list[list[str]]:
    """Return the commands that bash runs for a script, as lists of arguments."""
    programs, calls = folder / "bin", folder / "calls"
    programs.mkdir()
    for name in OURS | OTHERS:
        stand_in = programs / name
        stand_in.write_text(f"#!/bin/bash\nprintf '%s\\0' {name} \"$@\" '' $'\\n' >> {calls}\n")
        stand_in.chmod(0o755)
    work = folder / "work"
    work.mkdir()
    for entry in ROOT.iterdir():  # so that globs find what is there, and nothing is written into it
        if not entry.name.startswith((".", "output")):
            (work / entry.name).symlink_to(entry)
    (work / ".venv/bin").mkdir(parents=True)
    (work / ".venv/bin/activate").touch()
    done = subprocess.run(
        ["/bin/bash", "-e", "-u", "-o", "pipefail", "-c", script],
        cwd=work,
        env={"PATH": str(programs), "HOME": str(folder)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    noted = calls.read_text() if calls.exists() else ""
    return [call.split("\0")[:-1] for call in noted.split("\0\n\0") if call]


def check_call(call: list[str]) -> None:
    """Let the tools' own parsers read a command."""
    program, *arguments = call
    if program == "taskset":  # -c CORES, and a command
        program, *arguments = arguments[2:]
    if program in OTHERS:
        return
    if program == "make":
        targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))
        assert {a for a in arguments if "=" not in a} <= targets, call
        return
    if program == "torchrun":
        places = [n for n, a in enumerate(arguments) if a.startswith("tools/") or a == "-m"]
        assert places, f"{call} starts no tool"
        arguments, program = arguments[places[0] :], "python"
    if program == "python":
        first, *rest = arguments
        if first.startswith("benchmarks/"):
            assert (ROOT / first).is_file(), first
            # they share some options
            text = "".join(file.read_text() for file in (ROOT / "benchmarks").glob("*.py"))
            assert not [a for a in rest if a.startswith("--") and f'"{a}"' not in text], call
            return
        if first == "-m":
            if rest[0] != "robust_det":
                assert (ROOT / (rest[0].replace(".", "/") + ".py")).exists() or rest[0] == "pytest"
                return
            arguments = rest[1:]
        else:
            made = re.search(r'run_command\("([\w-]+)"\)', (ROOT / first).read_text())
            assert made, f"{first} is no tool"
            arguments = [made[1], *rest]
    if not arguments or arguments == ["--help"]:
        return
    name, *rest = arguments
    assert name in COMMANDS, call
    if "--help" in rest:
        return
    args = COMMANDS[name].parser().parse(rest)
    config = getattr(args, "config", None)
    if isinstance(config, str) and Path(config).name not in OWN_CONFIGS:
        find_config(config)
    overrides = getattr(args, "overrides", [])
    if overrides:
        by_name = {"pretrain": pretrain_defaults, "transfer": transfer_defaults}
        defaults = by_name.get(name, detection_defaults)()
        merge_config(defaults, overrides_to_dict(overrides))


@of("bash")
def test_commands_are_those_of_the_tools(block: Block, tmp_path: Path) -> None:
    for call in calls_in(block.text, tmp_path):
        check_call(call)


@pytest.mark.parametrize(
    "wrong",
    [
        "robust-det trian --config a.yaml",
        "robust-det train --confg demo_mask_eps0.yaml",
        "python tools/train_net.py --config no_such_config.yaml",
        "python tools/train_net.py --config demo_mask_eps0.yaml SOLVER.BASE_LRR 0.1",
        "for e in 0 1; do python tools/no_tool.py $e; done",
        "an_unknown_program",
        "make nothing",
        "torchrun --nproc-per-node 2 elsewhere.py",
    ],
)
def test_what_is_wrong_is_found(wrong: str, tmp_path: Path) -> None:
    with pytest.raises((AssertionError, UserError, OSError)):
        for call in calls_in(wrong, tmp_path):
            check_call(call)


@of("yaml")
def test_yaml_is_taken(block: Block) -> None:
    raw = yaml.safe_load(block.text)
    base = raw.pop("_BASE_", None)
    for name in [base] if isinstance(base, str) else base or []:
        find_config(name)
    is_pretraining = {"ATTACK", "TRAIN", "DATA", "EVAL"} & raw.keys()
    merge_config(pretrain_defaults() if is_pretraining else detection_defaults(), raw)
    for entry in raw.get("DATASETS", {}).get("CUSTOM", []):
        parse_entry(entry)


@of("python")
def test_python_runs(
    block: Block,
    tmp_path: Path,
    write_config: Callable[..., Path],
    backbone_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from detectron2.data import DatasetCatalog, MetadataCatalog

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROBUST_DET_BACKBONES", str(backbone_file.parent))
    config = write_config("my.yaml", OUTPUT_DIR="", SOLVER={"MAX_ITER": 2, "STEPS": []})
    raw = yaml.safe_load(config.read_text())
    register_custom(raw["DATASETS"]["CUSTOM"])

    def as_catalogued() -> list[dict[str, Any]]:
        return [dict(image) for image in DatasetCatalog.get("scenes_train")]

    classes = list(prepared_dataset("scenes_train").facts.classes)
    # what a document takes for the reader's own, and what stands for it here
    stand_ins = {
        r"resnet\d+_l(2|inf)_eps[\d.]+": backbone_file.stem,
        r"my\w*\.yaml": str(config),
        r"'cells'|\"cells\"": repr(f"cells_{block.number}"),
        r'\["RBC", "WBC"[^\]]*\]': repr(classes),
    }
    text = block.text
    for pattern, value in stand_ins.items():
        text = re.sub(pattern, value.replace("\\", r"\\"), text)
    names: dict[str, Any] = {"images": torch.rand(2, 3, 64, 64), "my_function": as_catalogued}
    names |= {"DatasetCatalog": DatasetCatalog, "MetadataCatalog": MetadataCatalog}
    from robust_det.detection.config import load_config

    names["load_config"] = load_config
    exec(compile(text, str(block), "exec"), names)
    assert os.getcwd() == str(tmp_path)
