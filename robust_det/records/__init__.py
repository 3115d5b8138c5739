"""Run records: one ``record.json`` a run, typed by its kind; all that comparison reads."""

from robust_det.records.base import SCHEMA, Record
from robust_det.records.environment import Environment, environment
from robust_det.records.record_file import RECORD_NAME, read_record, write_record

__all__ = [
    "RECORD_NAME",
    "SCHEMA",
    "Environment",
    "Record",
    "environment",
    "read_record",
    "write_record",
]
