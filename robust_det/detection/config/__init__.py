"""Detection configs: Detectron2's keys, a few more, and what follows from weights and data.

Mean, std, channel order and architecture are properties of the weights, the number of classes is
one of the data. A config leaves them out; one that contradicts them is refused.
"""

from robust_det.detection.config.complete import (
    CONFIG_NAME,
    explain,
    load_config,
    load_detector_config,
    load_evaluation_config,
    run_folder,
    run_name,
    sources_of_config,
)
from robust_det.detection.config.defaults import detection_defaults

__all__ = [
    "CONFIG_NAME",
    "detection_defaults",
    "explain",
    "load_config",
    "load_detector_config",
    "load_evaluation_config",
    "run_folder",
    "run_name",
    "sources_of_config",
]
