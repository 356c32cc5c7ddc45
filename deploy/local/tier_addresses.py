"""Where a tier of a stack with SECURE=1 finds the servers, and as whom."""

from __future__ import annotations

from dataclasses import replace

from deploy.local import postgres
from deploy.local.layout import Layout
from deploy.local.secured import Secured, named
from deploy.local.services import Addresses
from schemas import redis_rights


def as_tier(layout: Layout, secured: Secured, tier: str, direct: Addresses) -> Addresses:
    """The same servers, for this tier's own users."""
    user, password = named(tier), secured.password(tier)
    asks_redis = tier in redis_rights.RIGHTS
    # No gateway may write into the session log, so its canary begins behind what is read of it.
    more = {"TALKLOG_CANARY_WAY": "tail"} if tier == "gateway" else {}
    return replace(
        direct,
        redis=secured.redis_url(layout.port("redis"), tier) if asks_redis else "",
        postgres=postgres.dsn(layout.port("postgres"), password, user=user, secured=secured),
        kafka_way_in=secured.way_in(tier) | more,
    )
