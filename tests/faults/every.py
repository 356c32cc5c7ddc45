"""Every fault there is."""

from tests.faults.kinds import MODEL, PROCESSES, SERVERS

FAULTS = (*PROCESSES, *SERVERS, *MODEL)
