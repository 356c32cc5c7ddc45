"""Unit tests of the worker's pure rules."""
