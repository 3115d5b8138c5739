"""Classification transfer compared: accuracy by backbone, with pretraining runs as the unit."""
