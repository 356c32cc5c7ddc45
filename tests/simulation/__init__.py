"""The whole installation in one process, under one simulated log and clock.

What decides is the real code: the fold, the intake with its lanes and verdicts, the delivery of
frames, the persister's rows. What acts (broker, group, sockets, Redis, Postgres, processes that die
and stall) is simulated, and one seed decides everything that could happen in more than one way.

Every token of an answer names its message, its attempt and its number. So what a reader must see is
known by construction, and never asked of the code under test.
"""
