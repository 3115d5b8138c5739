"""Commands that write data sets, or their splits."""
