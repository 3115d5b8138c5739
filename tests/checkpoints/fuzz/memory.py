"""The memory that reading may take."""

from __future__ import annotations

import resource

MEGABYTES = 300  # above what is usual


def peak_memory() -> int:
    """Return the most memory that this process has had so far, in kB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
