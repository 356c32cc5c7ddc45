"""What the operators' tools are made of: which installation, ranges of its log, text for people.

No tool imports another; what two of them need lies here.
"""
