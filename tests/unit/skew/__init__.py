"""Two versions at once: what one has written, the other reads. Each version leaves a file here."""
