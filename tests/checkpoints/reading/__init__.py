"""What is in a file comes back from it, or one line says why not; nothing else is made of it."""

import pytest

# as those of the tests, their assertions are to say what was compared
pytest.register_assert_rewrite(f"{__name__}.files")
