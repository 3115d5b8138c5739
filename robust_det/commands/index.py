"""The sub-commands by name. Reading it imports none of them."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from robust_det.core.cli import Parser

__all__ = ["COMMANDS", "Command"]


@dataclass(frozen=True)
class Command:
    """A sub-command.

    Attributes:
        module: below ``robust_det.commands``, with ``add_arguments(parser)`` and ``main(args)``,
            which returns an exit code, or None for success; and ``EXAMPLES``, two command lines or
            more, but where commands of its own have theirs.
        summary: one line.
    """

    module: str
    summary: str

    def load(self) -> Any:
        """Import the module and return it."""
        return importlib.import_module(f"robust_det.commands.{self.module}")

    def parser(self, prog: str | None = None) -> Parser:
        """Return the parser of its arguments.

        Args:
            prog: what the command is called in ``--help``; the script's name if None.
        """
        module = self.load()
        parser = Parser(self.summary, getattr(module, "EXAMPLES", ()), prog=prog)
        module.add_arguments(parser)
        return parser


COMMANDS = {
    "demo": Command("jobs.demo", "Do the whole road on synthetic data, in minutes."),
    "pretrain": Command("jobs.pretrain", "Train a standard or robust classifier with PGD."),
    "evaluate": Command("jobs.evaluate", "Measure how robust a classifier is, by several attacks."),
    "convert": Command(
        "jobs.convert", "Turn any checkpoint into verified Detectron2 backbone weights, or back."
    ),
    "train": Command("jobs.train", "Fine-tune a detector from a standard or robust backbone."),
    "transfer": Command(
        "jobs.transfer", "Transfer a backbone to other classes, frozen or fine-tuned."
    ),
    "compare": Command(
        "jobs.compare", "Compare the AP of detection runs by their records: table, plots, page."
    ),
    "analyze": Command(
        "jobs.analyze", "Answer one of the paper's questions from records, reports or networks."
    ),
    "report": Command(
        "jobs.report", "Write a static site of all runs: overview, questions, a page for each."
    ),
    "rank": Command("jobs.rank", "Rank backbones for a data set, without fine-tuning."),
    "visualize": Command(
        "jobs.visualize", "Show what standard and robust networks look at, side by side."
    ),
    "sweep": Command("jobs.sweep", "Do a list of fine-tuning runs: learning rates, seeds, data."),
    "predict": Command("jobs.predict", "Detect objects on images or a video."),
    "export": Command(
        "jobs.export", "Export a detector or a classifier, and prove that it computes the same."
    ),
    "zoo": Command("jobs.zoo", "The published robust models: list, fetch, measure them again."),
    "records": Command(
        "jobs.records", "The records of runs: list, show, query, check and export them."
    ),
    "inspect": Command("jobs.inspect", "Check data sets, print their statistics, draw samples."),
    "split": Command(
        "data.split", "Hold out a part of a data set, and write both parts as COCO JSON."
    ),
    "convert-data": Command(
        "data.convert_data", "Write a data set in any form that is read as COCO JSON."
    ),
    "transfer-data": Command(
        "data.transfer_data", "Sets of classification transfer: which copy is there, its splits."
    ),
    "panoptic": Command(
        "jobs.panoptic", "Make the semantic maps that training on panoptic data sets needs."
    ),
    "configs": Command("setup.configs", "List the configs that come along, or copy one."),
    "config": Command("setup.config", "Show a complete config, and where each key comes from."),
    "env": Command("setup.env", "Print versions and devices, for an issue report."),
    "install-detectron2": Command(
        "setup.install_detectron2", "Install Detectron2 0.5 without its compiled operators."
    ),
    "completion": Command("setup.completion", "Print the script that completes it in a shell."),
}
