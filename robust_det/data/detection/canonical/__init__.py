"""The one form in which a data set is handed on: ids from 1, known keys, one spelling of masks."""
