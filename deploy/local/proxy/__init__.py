"""A network between the services and their servers, whose links can be cut.

`LINKS=1` puts it into the local stack: one process that carries bytes, knows nothing of what they
mean, and takes orders over HTTP (`control`). A link is named by its two ends: `worker-redis` is
all that workers and Redis say to each other. Kafka's clients go where the broker tells them to,
so each broker has a listener of its own for each tier, which advertises the proxy's port.

A link is `open`, or it is told to:

* `refuse`: every connection is aborted, and nobody listens any more;
* `hole`: connections stay and new ones are taken, but nothing is carried, either way; what was
  held goes on when the link is open again;
* `delay`: each piece arrives later.

Apart from that, all its connections can be aborted at once (`cut`), or one of them at a place in
what it says (`cut_at`): at COMMIT, before or after the server has heard it, or in the middle of
COPY. Orders are not kept: a proxy that is started again has open links.
"""
