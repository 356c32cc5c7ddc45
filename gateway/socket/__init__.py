"""One client's WebSocket: who may open it, what its frames ask for, what is written to it."""
