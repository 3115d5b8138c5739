"""Reading files that nobody vouches for: data are rebuilt, nothing is run."""

from robust_det.checkpoints.reading.containers import FileContent, read_file
from robust_det.checkpoints.reading.tensors import LazyTensor, load_tensor
from robust_det.checkpoints.reading.values import Placeholder

__all__ = ["FileContent", "LazyTensor", "Placeholder", "load_tensor", "read_file"]
