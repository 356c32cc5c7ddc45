"""What operators type: look at an installation, hold it to its rules, read it again, mend it."""
