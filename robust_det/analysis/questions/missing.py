"""The commands that make the runs which a question lacks."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from robust_det.analysis.questions.answer import Missing
from robust_det.analysis.questions.cells import Arm, Cell
from robust_det.analysis.questions.evidence import Evidence
from robust_det.core.config.reading import find_config, flatten, load_raw
from robust_det.core.epsilon import format_eps
from robust_det.core.errors import UserError
from robust_det.records.detection import DetectionRecord
from robust_det.records.pretrain import PretrainRecord
from robust_det.records.transfer import TransferRecord

__all__ = ["ENOUGH", "missing_runs", "missing_shrunk"]

ENOUGH = 3  # pretraining runs an eps: of two a t interval has one degree of freedom
_MOST = 6  # settings that are named, and commands of a kind
_OF_OPTIONS = ("DATA.ROOT", "TRANSFER.BACKBONE", "TRANSFER.MODE", "OUTPUT_DIR", "SEED", "DEVICE")
_ANYWHERE = "x"  # a folder, which a config has to have
_SEED = re.compile(r"seed\d+")
_Run = TransferRecord | DetectionRecord
_Runs = Mapping[str, Sequence[_Run]]


def missing_runs(cells: Sequence[Cell], evidence: Evidence) -> list[Missing]:
    """Return what would make the answers of cells surer.

    Args:
        cells: of a question.
        evidence: the records that they are of.
    """
    runs = _by_setting(evidence)
    out = []
    if without := [cell for cell in cells if cell.standard is None]:
        words = f"There is no standard backbone for {_listed(without)}:"
        out.append(Missing(words, tuple(_other_eps(without, runs, standard=True))))
    if alone := [cell for cell in cells if not cell.robust]:
        words = f"There is no robust backbone for {_listed(alone)}; with an ε in place of EPS:"
        out.append(Missing(words, tuple(_other_eps(alone, runs, standard=False))))
    complete = [cell for cell in cells if cell.standard is not None and cell.robust]
    few = [(cell, arm) for cell in complete for arm in cell.arms if len(arm.units) < ENOUGH]
    if few:
        least = min(len(arm.units) for _, arm in few)
        words = (
            f"A pretraining run more of each ε (there {'are' if least > 1 else 'is'} {least} of"
            f" some): intervals need {ENOUGH} or more to be narrow. CONFIG is the config that a"
            " backbone was pretrained with, where no record says it:"
        )
        out.append(Missing(words, tuple(dict.fromkeys(_another_seed(few, runs, evidence)))))
    return out


def missing_shrunk(cells: Sequence[Cell], evidence: Evidence, side: int) -> Missing:
    """Return what does the transfers of cells on images shrunk to a side in pixels."""
    runs = _by_setting(evidence)
    commands = dict[str, None]()
    for cell in cells:
        origins = {unit.origin for arm in cell.arms for unit in arm.units}
        own = [run for run in runs[cell.setting] if run.weights.origin in origins]
        backbones = list(dict.fromkeys(run.weights.path for run in own))
        seeds = sorted({run.seed for run in own})
        more = ("TRANSFER.DOWNSCALE", str(side))
        commands[_transferring(own[0], backbones, seeds, more)] = None
    words = "No set is there both shrunk and of its own size:"
    return Missing(words, tuple(commands)[:_MOST])


def _by_setting(evidence: Evidence) -> _Runs:
    """Return by the name of their setting the runs whose commands train."""
    out: dict[str, list[_Run]] = {}
    for setting in evidence.settings:
        out[setting.name] = [run.record for run in setting.runs]
    records = dict(evidence.detections)
    for own in evidence.detectors:
        found = (records[run.path] for row in own.rows for run in row.runs)
        out[own.letter] = [one for one in found if "--eval-only" not in one.environment.command]
    return out


def _listed(cells: Sequence[Cell]) -> str:
    names = list(dict.fromkeys(f"{cell.name}, {cell.how}, {cell.arch}" for cell in cells))
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return "; ".join(names[:_MOST]) + more


def _other_eps(cells: Sequence[Cell], runs: _Runs, standard: bool) -> Iterable[str]:
    """Return commands for a backbone of eps 0, or for any robust one."""
    commands = dict[str, None]()
    for cell in cells:
        run = _example(cell, runs)
        known = (
            one
            for one in _all(runs)
            if type(one) is type(run) and one.arch == cell.arch and bool(one.eps) != standard
        )
        backbone = f"{cell.arch}_{cell.norm or 'l2'}_eps{'0' if standard else 'EPS'}"
        if standard and (other := next(known, None)):
            backbone = other.weights.path
        if run is not None:
            commands[_transferring(run, [backbone], [run.seed])] = None
    return list(commands)[:_MOST]


def _example(cell: Cell, runs: _Runs) -> _Run | None:
    """Return a run of a cell's setting, of the cell itself if there is one that tells how to make
    it, or any other run of its backbones; None if there is none."""
    origins = {unit.origin for arm in cell.arms for unit in arm.units}
    alike = runs.get(cell.setting, [])
    found = [run for run in alike if run.weights.origin in origins] or alike
    rest = (run for run in _all(runs) if run.weights.origin in origins)
    return found[0] if found else next(rest, None)


def _all(runs: _Runs) -> Iterator[_Run]:
    return (run for each in runs.values() for run in each)


def _next_seed(arm: Arm) -> int:
    known = [unit.pretraining.seed for unit in arm.units if unit.pretraining]
    return max(known) + 1 if known else len(arm.units)


def _another_seed(
    few: Sequence[tuple[Cell, Arm]], runs: _Runs, evidence: Evidence
) -> Iterable[str]:
    """Return commands for another pretraining run of each backbone, and for its fine-tuning."""
    by_origin = {record.weights.sha256: record for _, record in evidence.pretrainings}
    files = dict[str, str]()
    for _, arm in few:
        origin, seed = arm.units[0].origin, _next_seed(arm)
        example = next((run for run in _all(runs) if run.weights.origin == origin), None)
        if example is not None and origin not in files:
            files[origin] = _new_file(example.weights.path, seed)
            eps = format_eps(None, example.eps)
            yield _pretraining(by_origin.get(origin), example, files[origin], seed, eps)
    by_subject: dict[tuple[str, str, str], list[tuple[Cell, str]]] = {}
    for cell, arm in few:
        key = (cell.name, cell.how, cell.arch)
        by_subject.setdefault(key, []).append((cell, arm.units[0].origin))
    for pairs in by_subject.values():
        backbones = [files[origin] for _, origin in pairs if origin in files]
        example = _example(pairs[0][0], runs)
        if backbones and example is not None:
            own = runs.get(pairs[0][0].setting) or [example]
            seeds = sorted({run.seed for run in own})
            yield _transferring(example, list(dict.fromkeys(backbones)), seeds)


def _new_file(path: str, seed: int) -> str:
    """Return where the weights of another seed would lie."""
    old = Path(path.removeprefix("robust://"))
    # a published model, or one in a cache, has no folder of its run
    own = old.name in ("final.pth", "best.pth", "last.pth")
    folder = old.parent.name if own else _stem(old.name)
    folder = _SEED.sub(f"seed{seed}", folder) if _SEED.search(folder) else f"{folder}_seed{seed}"
    return f"output/pretrain/{folder}/final.pth"


def _stem(name: str) -> str:
    """Return a file's name without its suffix, which the .25 of an eps is not."""
    return re.sub(r"\.[a-z][a-z0-9]*$", "", name)


def _pretraining(
    record: PretrainRecord | None, example: _Run, file: str, seed: int, eps: str
) -> str:
    """Return the command of another pretraining run."""
    folder = str(Path(file).parent)
    words = _given(record.environment.command, "pretrain") if record else []
    if not words:
        name = _stem(Path(example.weights.path.removeprefix("robust://")).name)
        words = ["--config", f"{name}.yaml" if _is_config(f"{name}.yaml") else "CONFIG"]
        if words[1] == "CONFIG":
            words += ["ATTACK.EPS", eps]
    words = _without_keys(words, {"SEED", "OUTPUT_DIR"})
    words = [word for word in words if word != "--resume"]
    return shlex.join(["robust-det", "pretrain", *words, "SEED", str(seed), "OUTPUT_DIR", folder])


def _given(command: Sequence[str], name: str) -> list[str]:
    """Return the arguments of a command of ours; empty if it is none."""
    for place, word in enumerate(command):
        script = word.endswith((f"tools/{name}.py", f"tools/{name}_net.py"))
        front = word == name and "robust_det" in command[max(place - 1, 0)]
        if script or front:
            return list(command[place + 1 :])
    return []


def _without_keys(words: Sequence[str], keys: set[str]) -> list[str]:
    """Return arguments without some ``KEY VALUE`` pairs and options with a value."""
    out, skip = list[str](), False
    for word in words:
        if skip:
            skip = False
        elif word in keys:
            skip = True
        else:
            out.append(word)
    return out


def _transferring(
    run: _Run, backbones: Sequence[str], seeds: Sequence[int], more: Sequence[str] = ()
) -> str:
    """Return the sweep that fine-tunes backbones as a run was, with more keys and values."""
    if isinstance(run, TransferRecord):
        words = ["transfer", *_transfer_arguments(run)]
    else:
        given = _given(run.environment.command, "train") or ["--config", f"{run.name}.yaml"]
        keys = {"SEED", "OUTPUT_DIR", "--backbone", "MODEL.WEIGHTS"}
        words = [word for word in _without_keys(given, keys) if word != "--resume"]
    line = (
        shlex.join([*words, *more, "--backbone"]) + f" {_braces(backbones)} SEED {_braces(seeds)}"
    )
    output = "output/transfer" if isinstance(run, TransferRecord) else "output/detection"
    return f"robust-det sweep --output {output} --run {shlex.quote(line)}"


def _braces(values: Iterable[Any]) -> str:
    words = [str(value) for value in values]
    return words[0] if len(words) == 1 else "{" + ",".join(words) + "}"


def _transfer_arguments(run: TransferRecord) -> list[str]:
    """Return the arguments that give a transfer's config, but for backbone, seed and output."""
    flat = flatten(run.config)
    name = f"{run.name}.yaml"
    named = _is_config(name)
    defaults = _defaults(name if named else None)
    words = ["--config", name] if named else []
    if not named or flat.get("DATA.ROOT") != defaults.get("DATA.ROOT"):
        words += ["--data", str(flat.get("DATA.ROOT", ""))]
    if run.mode != defaults.get("TRANSFER.MODE"):
        words += ["--mode", run.mode]
    for key, value in flat.items():
        if key in defaults and key not in _OF_OPTIONS and value != defaults[key]:
            words += [key, str(value)]
    return words


def _is_config(name: str) -> bool:
    try:
        find_config(name)
    except UserError:
        return False
    return True


@cache
def _defaults(name: str | None) -> Mapping[str, Any]:
    from robust_det.transfer.settings import explain

    found = flatten(explain(name, (), ("DATA.ROOT", _ANYWHERE))[0])
    if name is None:
        return found
    # whether the config itself says where the set is
    own = flatten(load_raw(find_config(name))).get("DATA.ROOT")
    return {**found, "DATA.ROOT": own}
