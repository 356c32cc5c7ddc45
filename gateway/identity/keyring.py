"""Keys that are published elsewhere: which are known, and when they may be asked for again. Pure.

1. They are asked for every `every_s`: an owner publishes a new key before it signs with it.
2. A token whose key is not known has them asked for at once, unless they were within `REASK_S`.
   So a flood of names that nobody has makes one request a minute, and needs no list of the names.
   Whoever comes while they are being read waits for what is read.
3. What could be read last counts until it can be read again, but not longer than `KEPT_S`: after
   that nobody knows which keys were taken back.
4. Where the last answer was none, a token whose key is not known is neither good nor bad.

The clock is an argument.
"""

from gateway.identity.claims import BadToken, CantTell
from gateway.identity.keys import Keys
from gateway.identity.signature import Head, Key

REASK_S = 60.0
RETRY_FIRST_S = 5.0
KEPT_S = 24 * 3600.0


class Keyring:
    """The keys of one owner. `now_s` is of any clock that only goes forward."""

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self.asking = False
        self._keys = Keys(())
        self._asked_at_s: float | None = None
        self._read_at_s: float | None = None
        self._failure = "they were not asked for yet"
        self._failures = 0

    def find(self, head: Head, now_s: float) -> Key | None:
        """Give the key for a token, or None if one more reading may bring it (rule 2).

        Raises:
            BadToken: nobody has that key.
            CantTell: nobody knows.
        """
        key = self._keys.find(head) if self.known(now_s) else None
        if key is not None:
            return key
        if self.asking or self._asked_at_s is None or now_s - self._asked_at_s >= REASK_S:
            return None
        if self._failure:
            raise CantTell(self._failure)
        raise BadToken("no key has the name and algorithm that the token says")

    def known(self, now_s: float) -> bool:
        """Whether there are keys that may be used (rule 3)."""
        return self._read_at_s is not None and now_s - self._read_at_s <= KEPT_S

    @property
    def failure(self) -> str:
        """Why they could not be read the last time; empty: they could."""
        return self._failure

    def ask_in_s(self, now_s: float) -> float:
        """How long until they are asked for by themselves; after failures soon, then less so."""
        if self._asked_at_s is None:
            return 0.0
        wait_s = self._every_s
        if self._failures:
            wait_s = min(RETRY_FIRST_S * 2.0 ** min(self._failures - 1, 16), REASK_S, wait_s)
        return max(self._asked_at_s + wait_s - now_s, 0.0)

    def asked(self, now_s: float) -> None:
        """They are being asked for; `took` or `failed` follows."""
        self.asking, self._asked_at_s = True, now_s

    def took(self, keys: Keys, now_s: float) -> None:
        """They have been read: what is not among them counts no more."""
        self.asking = False
        self._keys, self._read_at_s = keys, now_s
        self._failure, self._failures = "", 0

    def failed(self, why: str) -> None:
        """They could not be read."""
        self.asking = False
        self._failure = why
        self._failures += 1
