"""Everything a machine can check."""
