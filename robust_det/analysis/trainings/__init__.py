"""Ways of training by what they reached under attack, over the seeds of pretraining."""
