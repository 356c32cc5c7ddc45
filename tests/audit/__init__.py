"""`make audit`: is anything that is installed known to be vulnerable?

Two lists are asked about: `constraints.txt`, with which all is installed and tested, and what
the image holds, with its hashes. pip-audit asks; what its answer is worth is judged here, for it
calls a list clean of which the service knew nothing.
"""
