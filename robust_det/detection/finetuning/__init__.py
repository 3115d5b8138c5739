"""What makes fine-tuning reproducible and fast: data order, training step, precision, averaging."""
