"""A config with all its keys, and where each comes from.

robust-det config show FILE [KEY VALUE ...]
robust-det config schema pretrain|detection|transfer

What follows from weights and data is shown where these are on this machine; nothing is downloaded.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from robust_det.core.cli import Parser
from robust_det.core.config.schema import KINDS
from robust_det.core.installation import CONFIGS

_COLUMN = 56  # where the origins begin, unless a line is longer


def main(args: argparse.Namespace) -> None:
    """Show a config, or print a schema."""
    if args.do == "schema":
        print(schema_text(args.kind), end="")
        return
    from robust_det.core.config.reading import find_config, flatten, load_raw, to_dict
    from robust_det.core.config.schema import kind_of

    kind = kind_of(flatten(load_raw(find_config(args.config))), args.config)
    notes: list[str] = []
    if kind == "pretrain":
        from robust_det.classification import settings

        cfg, origins = settings.explain(args.config, args.overrides)
    elif kind == "transfer":
        from robust_det.transfer import settings as transfer_settings

        cfg, origins = transfer_settings.explain(args.config, args.overrides)
    else:
        from robust_det.detection import config

        cfg, origins, notes = config.explain(args.config, args.overrides)
    for note in notes:
        print(f"# {note}")
    for line, origin in lines(to_dict(cfg), origins):
        print(f"{line:{_COLUMN}}# {origin}" if origin else line)


def lines(
    tree: Mapping[str, Any], origins: Mapping[str, str], prefix: str = ""
) -> Iterator[tuple[str, str]]:
    """Yield the lines of a config as YAML, each with the origin of its key, empty for a section.

    Args:
        tree: nested plain values.
        origins: by dotted key; a key that is not there has its default.
        prefix: of the keys of a section.
    """
    import yaml

    indent = "  " * prefix.count(".")
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield f"{indent}{key}:", ""
            yield from lines(value, origins, f"{prefix}{key}.")
        else:
            # within brackets everything is on one line
            text = yaml.safe_dump([value], default_flow_style=True, width=math.inf)
            yield f"{indent}{key}: {text.strip()[1:-1]} ", _shown(origins.get(f"{prefix}{key}"))


def _shown(origin: str | None) -> str:
    if origin is None:
        return "default"
    # by the names that they are asked for by
    return Path(origin).name if Path(origin).is_relative_to(CONFIGS) else origin


def schema_text(kind: str) -> str:
    """Return the text of a schema's file; that of detection follows the installed Detectron2."""
    import json

    from robust_det.core.config.schema import config_schema

    if kind == "pretrain":
        from robust_det.classification import settings

        schema = config_schema(
            "robust_det: pretraining", settings.pretrain_defaults(), settings.SETTINGS
        )
    elif kind == "transfer":
        from robust_det.transfer import settings as transfer_settings

        schema = config_schema(
            "robust_det: classification transfer",
            transfer_settings.transfer_defaults(),
            transfer_settings.SETTINGS,
        )
    else:
        from robust_det.detection.config import defaults

        schema = config_schema(
            "robust_det: detection", defaults.detection_defaults(), defaults.SETTINGS
        )
    return json.dumps(schema, indent=1) + "\n"


def add_arguments(parser: Parser) -> None:
    """Add what the command line may say."""
    commands = parser.add_subparsers(dest="do", required=True, metavar="show|schema")
    show = commands.add_parser(
        "show",
        help="print a complete config",
        examples=(
            "robust-det config show tiny_r18_eps0_bccd.yaml",
            "robust-det config show my.yaml SOLVER.BASE_LR 0.01",
        ),
    )
    show.add_argument("config", metavar="FILE", help="config file, or its name below configs/")
    show.add_argument("overrides", nargs="*", metavar="KEY VALUE", help="override config keys")
    schema = commands.add_parser(
        "schema",
        help="print the JSON Schema of a kind of config",
        examples=("robust-det config schema detection", "robust-det config schema pretrain"),
    )
    schema.add_argument("kind", choices=KINDS, help="of config")
