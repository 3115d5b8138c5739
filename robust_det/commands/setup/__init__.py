"""The sub-commands around that work: configs, Detectron2, the shell, what an issue report needs."""
