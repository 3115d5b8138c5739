"""Networks as files that run without this project: their formats, and what lies beside them."""
