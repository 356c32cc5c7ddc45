"""Any OpenAI-compatible end: from its bytes to text, and from its faults to what follows."""
