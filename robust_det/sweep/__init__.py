"""Lists of fine-tuning runs: their notation, local processes that do them, and their figures."""
