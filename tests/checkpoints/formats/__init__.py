"""Every format, written by the library whose it is: what is read back computes the same logits."""

import pytest

# as those of the tests, their assertions are to say what was compared
pytest.register_assert_rewrite(f"{__name__}.networks")
