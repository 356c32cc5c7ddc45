"""How seldom Python looks for cycles among the objects of a process, and at which.

What lives for long (modules, settings, connections of the start) is set aside once; a look at all
that came later is rare. What is held in great numbers, the records of the log, is in no look at
all: a record holds nothing that could refer back to it (`schemas.shard_log.Record`). With 300,000
records held a look at everything stopped the loop for 190 ms.
"""

import gc

YOUNG_OBJECTS = 500
"""So many more objects made than freed, and the young are looked at: all that were made since the
last look and are alive. Those are far more where old objects are freed at the same time, as they
count against the new ones. Ten times as many was 60,000 looked at in one go while a storm of
sockets came in, which stopped the loop for 40 ms, and later for 90 as there were 20 looks' of them.
"""
YOUNG_LOOKS = 3
"""So many looks at the young, and at those of the looks before as well. Each object is in one of
either kind: seldom and many costs as much as often and few, but all at once."""
MIDDLE_LOOKS = 13_000
"""So many of these, and at everything that was not set aside."""


def settle() -> None:
    """Set aside what is there: to be called when a process is made and before it works."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, YOUNG_LOOKS, MIDDLE_LOOKS)
