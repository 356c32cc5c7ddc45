"""The gateway against real servers; the tests write the answers as a worker would."""
