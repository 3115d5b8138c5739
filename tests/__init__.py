"""A package, so that tests can import what they share: ``tests.support``."""
