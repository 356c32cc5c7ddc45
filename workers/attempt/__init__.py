"""One try at an answer: its text, its pace, its events, its end."""
