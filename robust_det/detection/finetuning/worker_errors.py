"""Errors of users that a data loader's workers meet, brought to whoever reads the batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from robust_det.core.errors import UserError, reason_of

__all__ = ["ReturningErrors", "raise_returned"]


class ReturningErrors:
    """A mapper that returns a user's error: raised in a worker, it would arrive as the text of a
    traceback. See :func:`raise_returned`."""

    def __init__(self, mapper: Callable[[dict[str, Any]], Any]) -> None:
        self.mapper = mapper

    def __call__(self, record: dict[str, Any]) -> Any:
        try:
            return self.mapper(record)
        except UserError as error:
            return error
        except OSError as error:  # a disk that is gone, or a file since the data were checked
            return UserError(f"{error.filename or record['file_name']}: {reason_of(error)}")


def raise_returned(batch: Sequence[Any]) -> None:
    """Raise the first error among mapped images."""
    for mapped in batch:
        if isinstance(mapped, UserError):
            raise mapped
