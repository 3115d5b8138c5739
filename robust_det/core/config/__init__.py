"""The config language: a key's meaning and limits, files with their bases, and the JSON Schema."""
