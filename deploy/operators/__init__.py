"""What operators type: look at an installation, hold it to its rules, read it again, mend it.

A tool each: `lag`, `verify`, `rebuild`, `replay`, `dead_letters` are rooms, `topics`, `migrate` and
`doctor` single files. What several of them need is in `tooling`.
"""
