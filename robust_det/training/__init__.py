"""The one training engine: processes, schedule, step, state, averaging, stopping, run folder."""
