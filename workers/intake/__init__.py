"""Who owns what, what may start, what may be acknowledged: decided without I/O, clock or chance."""
