"""The scripted model's own rules: what it writes must be known before it is compared with."""
