"""The entries of ``DATASETS.CUSTOM``."""

from robust_det.data.detection.entries.forms import class_list
from robust_det.data.detection.entries.locating import located_entries
from robust_det.data.detection.entries.parsing import entry_schema, parse_entry

__all__ = ["class_list", "entry_schema", "located_entries", "parse_entry"]
