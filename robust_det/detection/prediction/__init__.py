"""Prediction on images and videos: found (:mod:`.inputs`, :mod:`.video`), read and batched
(:mod:`.batches`), journalled as they are done (:mod:`.journal`), drawn (:mod:`.overlay`) and
written as one COCO file (:mod:`.results`)."""
