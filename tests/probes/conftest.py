from __future__ import annotations

import pytest

from tests.support.features import Sample, make_sample


@pytest.fixture
def sample() -> Sample:
    return make_sample()


@pytest.fixture
def wide() -> Sample:
    """Fewer images than features."""
    return make_sample(40, 60, 4, seed=1)
