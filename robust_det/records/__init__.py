"""Run records: one ``record.json`` a run, all that comparison reads."""

from robust_det.records.environment import environment
from robust_det.records.record import RECORD_NAME, SCHEMA, read_record, write_record

__all__ = ["RECORD_NAME", "SCHEMA", "environment", "read_record", "write_record"]
