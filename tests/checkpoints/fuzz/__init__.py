"""Damaged and hostile files give the right network or one clear error, and nothing in them runs.

A package, because the tests share modules and one of them runs such a module as a process.
"""

import pytest

# as those of the tests, their assertions are to say what was compared
pytest.register_assert_rewrite(f"{__name__}.cases", f"{__name__}.reading")
