"""The configs that come along: list them, or put one beside your own work.

robust-det configs
robust-det configs copy NAME [DEST] [--overwrite]

A copy finds its bases among those that come along, and tells editors the schema of its keys.
"""

from __future__ import annotations

import argparse
import itertools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from robust_det.core.cli import Parser
from robust_det.core.installation import CONFIGS, SCHEMAS

_MODELS = {
    "PanopticFPN": "Panoptic FPN",
    "ProposalNetwork": "RPN",
    "RetinaNet": "RetinaNet",
    "SemanticSegmentor": "Semantic FPN",
}


EXAMPLES = (
    "robust-det configs",
    "robust-det configs copy tiny_r18_eps0_bccd.yaml my.yaml",
)


def main(args: argparse.Namespace) -> None:
    """List, or copy."""
    if args.do == "copy":
        print(f"wrote {copy(args.config, Path(args.dest), args.overwrite)}")
        return
    for folder in sorted({path.parent for path in CONFIGS.rglob("*.yaml")}):
        print(f"{folder.relative_to(CONFIGS)}/")
        paths = sorted(folder.glob("*.yaml"))
        width = max(len(path.name) for path in paths) + 2
        for path in paths:
            print(f"  {path.name:{width}}{describe(path)}")


def describe(path: Path) -> str:
    """Return a line about a config: what it trains, on what; of a base, its own comment."""
    from robust_det.core.config.reading import flatten, load_raw
    from robust_det.core.config.schema import kind_of, known_keys

    if path.name.startswith("base_"):
        lines = path.read_text(encoding="utf-8").splitlines()
        comment = itertools.takewhile(lambda line: line.startswith("#"), lines)
        return f"base: {' '.join(line.removeprefix('#').strip() for line in comment)}"
    keys = flatten(load_raw(path))
    kind = kind_of(keys, path.name)
    keys = known_keys(kind) | keys
    by_kind = {
        "pretrain": _of_pretraining,
        "detection": _of_detection,
        "transfer": _of_transfer,
    }
    return by_kind[kind](keys)


def _of_pretraining(keys: Mapping[str, Any]) -> str:
    eps = keys["ATTACK.EPS"]
    shown = eps if isinstance(eps, str) else f"{eps:g}"  # 4/255 stays as it is
    how = f"{keys['ATTACK.NORM']} eps {shown}" if eps else "standard (eps 0)"
    return f"{keys['MODEL.ARCH']}, {how}, {keys['TRAIN.EPOCHS']} epochs on {keys['DATA.ROOT']}"


def _of_detection(keys: Mapping[str, Any]) -> str:
    model = _MODELS.get(keys["MODEL.META_ARCHITECTURE"])
    if model is None:
        model = "Mask R-CNN" if keys["MODEL.MASK_ON"] else "Faster R-CNN"
        model = f"Cascade {model}" if "Cascade" in keys["MODEL.ROI_HEADS.NAME"] else model
        model = f"{model} {'C4' if 'Res5' in keys['MODEL.ROI_HEADS.NAME'] else 'FPN'}"
    weights = keys["MODEL.WEIGHTS"] or "--backbone NAME"
    data, length = ", ".join(keys["DATASETS.TRAIN"]), keys["SOLVER.MAX_ITER"]
    return f"{model} from {weights}, {length} iterations on {data}"


def _of_transfer(keys: Mapping[str, Any]) -> str:
    mode, head = keys["TRANSFER.MODE"], keys["TRANSFER.HEAD"]
    how = f"{mode} ({head})" if mode == "fixed-feature" else mode
    return f"transfer to {keys['DATA.SET']} in {keys['DATA.ROOT']}, {how}"


def copy(name: str, destination: Path, overwrite: bool = False) -> Path:
    """Copy a config so that it works where it is put, and return the copy's path.

    Args:
        name: see :func:`~robust_det.core.config.reading.find_config`.
        destination: a folder, or the file to write.
        overwrite: replace the file if it is there.

    Raises:
        UserError: there is no such config, or the file is there.
    """
    from robust_det.core.config.reading import find_config, flatten, load_raw
    from robust_det.core.config.schema import kind_of
    from robust_det.core.files import write_atomically
    from robust_det.core.outputs import new_file

    source = find_config(name)
    folder = destination.is_dir() or str(destination).endswith(os.sep)
    target = destination / source.name if folder else destination
    schema = SCHEMAS / f"{kind_of(flatten(load_raw(source)), name)}.json"
    text = f"# yaml-language-server: $schema={schema}\n{_with_bare_bases(source)}"
    with new_file(target, overwrite, inputs=[source]):
        write_atomically(target, lambda file: file.write(text.encode()))
    return target


def _with_bare_bases(source: Path) -> str:
    """Return a config's text, with its bases by their bare names, which are found from anywhere."""
    import yaml

    from robust_det.core.config.reading import find_config

    text = source.read_text(encoding="utf-8")
    bases = yaml.safe_load(text).get("_BASE_", [])
    for base in bases if isinstance(bases, list) else [bases]:
        path = source.parent / base
        # a base that is nowhere below configs/ keeps its place
        found = path.exists() and find_config(Path(base).name).samefile(path)
        text = text.replace(base, Path(base).name if found else str(path.resolve()), 1)
    return text


def add_arguments(parser: Parser) -> None:
    """Add what the command line may say."""
    commands = parser.add_subparsers(dest="do", metavar="copy")
    copier = commands.add_parser(
        "copy",
        help="put a config beside your own work",
        examples=(
            "robust-det configs copy tiny_r18_eps0_bccd.yaml",
            "robust-det configs copy base_small.yaml configs/mine.yaml --overwrite",
        ),
    )
    copier.add_argument("config", metavar="NAME", help="as robust-det configs lists it")
    copier.add_argument("dest", metavar="DEST", nargs="?", default=".", help="folder or file")
    copier.add_argument("--overwrite", action="store_true", help="replace the file if it exists")
