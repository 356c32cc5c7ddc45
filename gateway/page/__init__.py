"""The chat page: its files as they lie here, and how they are answered."""
