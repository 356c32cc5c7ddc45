"""People who chat while others do all the harm that a public port allows: `make attack`.

A stack with tokens, and limits as they are by default; a hundred people, each with an address of
his own; and as many who mean harm, each kind in a class of its own (`doors`, `floods`, `joins`).
Those run in a process of their own, at a lower priority: on one machine they would else take from
the gateways what nobody can take from afar. It is counted whether an answer was lost, doubled or
mixed, what people felt of it beside a quiet time before, what each attacker was told, and what it
cost in memory and files.
"""
