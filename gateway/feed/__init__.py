"""From the log to the sockets: the tail, who follows it, and where each position goes on."""
