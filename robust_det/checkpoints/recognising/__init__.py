"""Which network a file holds, and what else it holds."""
