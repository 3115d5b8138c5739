"""Which network a file holds, and what it says of itself."""
