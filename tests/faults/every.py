"""Every fault there is, and those of which the chaos chooses."""

from tests.faults.kinds import MODEL, PROCESSES, SERVERS

FAULTS = (*PROCESSES, *SERVERS, *MODEL)
CHAOS = (*PROCESSES, *SERVERS)
