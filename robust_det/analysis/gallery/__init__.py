"""Pictures of predictions beside the ground truth."""
