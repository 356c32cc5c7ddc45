"""From a client's frame to a record: claims, the rate, and the broker's word."""
