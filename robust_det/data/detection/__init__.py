"""Detection data as COCO JSON, VOC and YOLO folders: read, checked, described. No Detectron2.

Whatever its form, a data set becomes a document in COCO format (:mod:`.readers`), is checked
(:mod:`.checking`) and packed (:mod:`.packed_images`), so that training, evaluation, records and
comparison go one way.
"""
