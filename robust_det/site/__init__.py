"""A static site of all that records say: overview, comparisons, questions, a page a run."""
