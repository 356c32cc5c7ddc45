"""What comes from outside, held to its promises by a coverage-guided fuzzer (atheris).

Each target is a module with one function, `check(data)`: any bytes at all, and what must hold of
them. A refusal is the documented one, what is taken encodes back to the same, and bounds hold.
`make fuzz` looks for bytes that break this; what it found is kept in `corpus/`, and every entry of
it goes through its target in `make test` as well, where atheris is not needed.
"""
