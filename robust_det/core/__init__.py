"""What every job shares: config language, command line, errors, files, device, progress."""
