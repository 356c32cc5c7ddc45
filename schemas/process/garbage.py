"""How seldom Python looks for cycles among the objects of a process, and at which.

What lives for long (modules, settings, connections of the start) is set aside once; a look at all
that came later is rare. What is held in great numbers, the records of the log, is in no look at
all: a record holds nothing that could refer back to it (`schemas.shard_log.Record`). With 300,000
records held a look at everything stopped the loop for 190 ms.
"""

import gc

YOUNG_OBJECTS = 5_000
"""So many more objects made than freed, and those are looked at. What is found is freed at once:
ten times as many, left behind by sockets that were refused, stopped the loop for 80 ms."""
YOUNG_LOOKS = 20
"""So many looks at the young, and at those of the look before as well."""
MIDDLE_LOOKS = 200
"""So many of these, and at everything that was not set aside."""


def settle() -> None:
    """Set aside what is there: to be called when a process is made and before it works."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, YOUNG_LOOKS, MIDDLE_LOOKS)
