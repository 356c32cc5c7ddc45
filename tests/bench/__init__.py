"""Measures what a token costs and how late it comes; never decides a test run."""
