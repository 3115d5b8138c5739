"""The script by which a shell completes robust-det's commands, options, configs and config keys.

eval "$(robust-det completion bash)"     # in ~/.bashrc
robust-det completion zsh > "${fpath[1]}/_robust-det"
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator

from robust_det.commands.index import COMMANDS
from robust_det.commands.main import front_parser
from robust_det.core.cli import Parser
from robust_det.core.installation import CONFIGS

_SHELLS = ("bash", "zsh")
# what an argument takes, by its name
_LISTS = {
    "backbone": "models",
    "config": "configs",
    "name": "models",
    "names": "models",
    "overrides": "keys",
}
_FOLDERS = {"data", "images", "voc"}
_FILES = {
    "annotations",
    "archive",
    "dest",
    "detector",
    "input",
    "json",
    "output",
    "runs",
    "sample",
    "weights",
    "yolo",
}
# functions that complete the words of a list, and files beside them
_BASH = """
_robust_det_{name}() {{
  compgen -W {words} -- "$1"
  _shtab_compgen_files "$1"
}}
"""
_ZSH = """
_robust_det_{name}() {{
  local -a words=({words})
  _alternative 'words:{name}:compadd -a words' 'files:file:_files'
}}
"""


EXAMPLES = (
    'eval "$(robust-det completion bash)"',
    'robust-det completion zsh > "${fpath[1]}/_robust-det"',
)


def main(args: argparse.Namespace) -> None:
    """Print the script."""
    import shtab

    parser = whole_parser()
    for action in _actions(parser):
        if action.dest in _LISTS:
            action.complete = {  # type: ignore[attr-defined]
                shell: f"_robust_det_{_LISTS[action.dest]}" for shell in _SHELLS
            }
        elif action.dest in _FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        elif action.dest in _FOLDERS:
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
    function, quoted = (_BASH, _as_one_word) if args.shell == "bash" else (_ZSH, shlex.join)
    functions = [function.format(name=n, words=quoted(words)) for n, words in _words().items()]
    print(shtab.complete(parser, args.shell, preamble="".join(functions)))


def whole_parser() -> Parser:
    """Return one parser of all commands."""
    parser = front_parser()
    commands = parser.add_subparsers(dest="command")
    for name, command in COMMANDS.items():
        command.load().add_arguments(commands.add_parser(name, help=command.summary))
    return parser


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)


def _as_one_word(words: list[str]) -> str:
    return shlex.quote(" ".join(words))


def _words() -> dict[str, list[str]]:
    """Return what the lists hold."""
    from robust_det.core.config.schema import KINDS, known_keys
    from robust_det.zoo.published import all_models

    return {
        "configs": sorted(path.name for path in CONFIGS.rglob("*.yaml")),
        "keys": sorted({key for kind in KINDS for key in known_keys(kind)}),
        "models": sorted(all_models()),
    }


def add_arguments(parser: Parser) -> None:
    """Add what the command line may say."""
    parser.add_argument("shell", choices=_SHELLS, help="for which the script is")
