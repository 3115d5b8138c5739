"""What happens in and around a training step: losses, bars, seeds, best weights, logs, signals."""
