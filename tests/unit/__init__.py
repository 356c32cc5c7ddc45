"""Unit tests: pure rules, sockets blocked."""
