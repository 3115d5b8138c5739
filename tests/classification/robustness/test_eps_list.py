from __future__ import annotations

import pytest

from robust_det.classification.robustness.eps_list import parse_eps
from robust_det.core.errors import UserError


def test_numbers_and_fractions() -> None:
    assert parse_eps(["0", "2/255", "0.5"]) == (0.0, 2 / 255, 0.5)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["1", "0.5", "4/255"], "--eps has to rise; give --eps 4/255 0.5 1"),
        (["0.5", "1", "1/2"], "--eps has a value twice; give --eps 0.5 1"),
        (["0.5", "-1"], "--eps takes numbers >= 0 in units of images in [0, 1], not -1"),
        (["nan"], "not nan"),
        (["inf"], "not inf"),
        (["half"], "--eps takes numbers such as 0.5 or 4/255, not 'half'"),
        (["4/0"], "not '4/0'"),
    ],
)
def test_refusals(words: list[str], message: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_eps(words)
    assert message in str(caught.value)
