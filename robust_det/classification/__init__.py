"""Adversarial pretraining of classifiers, and their evaluation."""
