"""Which backbone suits a data set, told from the features of frozen ones, without fine-tuning."""
