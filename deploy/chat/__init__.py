"""A chat client for the terminal: the same reducer, reconnect and resend rules as the page's.

`view` folds frames (pure), `reconnect` decides what follows a close (pure), `link` carries frames
in and out of one session over sockets that may break, `screen` writes text as it comes,
`waiting` waits for what comes. `command` puts them together for a pipe, `terminal` for a person.
"""
