"""Where else the scalars of a run go, if asked for: Weights & Biases and MLflow.

Neither is needed: without their keys neither is imported. Which server, project and mode follows
from their own environment variables.
"""
