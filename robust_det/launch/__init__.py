"""Lists of runs: their notation, their plan, and the local processes that do them."""
