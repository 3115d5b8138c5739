"""The 16 entry-level categories of Geirhos et al. 2019, and which of a model's classes are theirs.

``entry_categories.csv`` lists the 207 of ImageNet's classes that count, by WordNet id: those of
``code/helper/human_categories.py`` of github.com/rgeirhos/texture-vs-shape, whose lists of ids and
of class indices agree. They follow from WordNet but for exclusions by hand (Geirhos et al. 2018,
appendix), so that hypernyms alone would give others.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from robust_det.checkpoints.model import Model
from robust_det.classification.class_order import imagenet_synsets
from robust_det.core.errors import UserError

__all__ = ["CATEGORIES", "SYNSETS", "classes_of_categories", "decisions"]


def _read() -> dict[str, str]:
    path = Path(__file__).with_name("entry_categories.csv")
    with path.open(newline="", encoding="ascii") as file:
        return {row["synset"]: row["category"] for row in csv.DictReader(file)}


SYNSETS: Mapping[str, str] = _read()  # WordNet id -> category
CATEGORIES: tuple[str, ...] = tuple(sorted(set(SYNSETS.values())))


def classes_of_categories(model: Model, where: str) -> dict[str, list[int]]:
    """Return the indices of the classes of each category that a model has any of.

    A class is of a category whose name it has, whatever its case and the marks between words, or by
    its WordNet id. 1000 classes without names are ImageNet's.

    Args:
        model: with a head.
        where: it was read from, for messages.

    Raises:
        UserError: it has no head, or does not name its classes.
    """
    if not model.num_classes:
        model.classifier()  # refuses, and says why
    names = model.classes
    if not names and model.num_classes == len(imagenet_synsets()):
        names = imagenet_synsets()
    if not names:
        raise UserError(
            f"{where} does not name its {model.num_classes} classes, so that nobody knows which of"
            f" them are {CATEGORIES[0]} or {CATEGORIES[1]}; give a file that does, as robust-det"
            " pretrain writes"
        )
    found: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        plain = re.sub(r"[\W_]+", "", name).casefold()
        category = plain if plain in CATEGORIES else SYNSETS.get(plain)
        if category is not None:
            found.setdefault(category, []).append(index)
    return dict(sorted(found.items()))


def decisions(
    probabilities: NDArray[np.float32], classes: Mapping[str, Sequence[int]]
) -> list[str]:
    """Return the category that each image is taken for: that of the highest mean probability.

    The mean over a category's classes, as the authors recommend (Geirhos et al. 2018, appendix);
    for the figures in the paper itself they were summed. Of equal ones it is the first by name.

    Args:
        probabilities: (N, K) of a model's classes.
        classes: indices by category; see :func:`classes_of_categories`.
    """
    names = sorted(classes)
    means = np.stack([probabilities[:, list(classes[name])].mean(1, np.float64) for name in names])
    return [names[place] for place in means.argmax(0)]
