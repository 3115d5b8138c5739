"""``--help`` of every command: each option is explained, defaults are shown, examples parse."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator

import pytest

from robust_det.commands.index import COMMANDS
from robust_det.core.cli import Parser
from robust_det.core.config.reading import find_config
from robust_det.core.installation import CONFIGS


def parsers() -> Iterator[tuple[str, Parser]]:
    """Every command, and every command of a command, with its words."""

    def below(words: str, parser: Parser) -> Iterator[tuple[str, Parser]]:
        groups = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
        for group in groups:
            for name, inner in group.choices.items():
                yield from below(f"{words} {name}", inner)
        if not any(group.required for group in groups):
            yield words, parser

    for name, command in COMMANDS.items():
        yield from below(name, command.parser(f"robust-det {name}"))


PARSERS = dict(parsers())


@pytest.mark.parametrize("words", PARSERS)
def test_options_are_explained_with_their_defaults(words: str) -> None:
    parser = PARSERS[words]
    shown = " ".join(parser.format_help().split())
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            continue
        assert action.help, f"{words}: {action.dest} is not explained"
        if action.nargs != 0 and action.default not in (None, [], argparse.SUPPRESS):
            text = f"{action.help} (default: {action.default})"
            assert " ".join(text.split()) in shown, f"{words}: {action.dest}"


@pytest.mark.parametrize("words", PARSERS)
def test_it_says_what_it_does_on_lines_that_a_terminal_holds(
    words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert PARSERS[words].description, words
    assert not [line for line in PARSERS[words].format_help().splitlines() if len(line) > 100]


@pytest.mark.parametrize("words", PARSERS)
def test_examples_are_command_lines(words: str) -> None:
    lines = PARSERS[words].format_help().split("\nexamples:\n")[1].splitlines()
    assert len(lines) >= 2
    for line in lines:
        found = re.search(rf"robust-det {words}( [^|>)]*)?", line)
        assert found, line
        program, *arguments = shlex.split(found[0])
        assert program == "robust-det"
        # a mistake would raise; what is optional in the index is left out by it
        args = COMMANDS[arguments[0]].parser().parse(arguments[1:])
        given = getattr(args, "config", None)
        if given and "/" not in given and not given.startswith("my"):
            assert find_config(given).is_relative_to(CONFIGS)
