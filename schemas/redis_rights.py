"""What each tier may do in Redis: rules of an ACL user, as `ACL SETUSER` takes them. Pure.

A script is held to its caller's rights, so the commands that it calls are among them.
"""

from collections.abc import Mapping

_CONNECT = "+auth +hello +ping +select +client|setname +client|id"
_SCRIPTS = "+eval +evalsha +script|load"

RIGHTS: Mapping[str, str] = {
    "gateway": f"~message:* ~rate:* ~connections:* -@all {_CONNECT} {_SCRIPTS} "
    "+get +set +del +exists +time",
    "worker": f"~session:* -@all {_CONNECT} {_SCRIPTS} +get +getex +set +del",
    "admin": "~* &* +@all",
}
"""By tier; a persister asks no Redis. Whoever adds a command or a key to a tier adds it here."""
