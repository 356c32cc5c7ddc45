"""How much one may ask: what is held back, over all gateways, and by each alone without Redis."""
