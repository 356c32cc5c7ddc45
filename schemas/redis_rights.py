"""What each tier may do in Redis: rules of an ACL user, as `ACL SETUSER` takes them. Pure.

A script is held to its caller's rights, so the commands that it calls are among them.
"""

from collections.abc import Mapping

_CONNECT = "+auth +hello +ping +select +client|setname +client|id"
_SCRIPTS = "+eval +evalsha +script|load"
_HASHES = "+hget +hgetall +hset +hdel +expire"

RIGHTS: Mapping[str, str] = {
    "gateway": f"~message:* ~rate:* ~limits:* ~load ~gateways -@all {_CONNECT} {_SCRIPTS} "
    f"+get +set +del +exists +time {_HASHES} +pexpire",
    "worker": f"~session:* ~forgotten:* ~limits:* ~load -@all {_CONNECT} {_SCRIPTS} "
    f"+get +getex +set +del +time {_HASHES} +hincrby",
    # `talklog forget`: histories, and what limits a user.
    "operator": f"~session:* ~forgotten:* ~limits:* -@all {_CONNECT} {_SCRIPTS} +get +set +del",
    "admin": "~* &* +@all",
}
"""By tier; a persister asks no Redis. Whoever adds a command or a key to a tier adds it here."""
