"""Reading, checking and describing data, without Detectron2; and the synthetic data sets."""
