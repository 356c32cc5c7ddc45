"""What all tiers share, against real servers."""
