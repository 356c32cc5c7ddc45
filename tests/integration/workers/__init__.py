"""The worker's parts on real servers."""
