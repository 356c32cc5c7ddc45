"""Who is it, and what may he do? docs/security.md is the same for people.

`rights` and `claims` decide, and know neither clock nor key; `signature` alone knows the library of
tokens; `keys` and `keyring` say which key a token is held to and when keys may be read again;
`key_source` reads them, `tokens` puts it together. `hook` asks a team's own backend instead;
`hook_answer` reads what it says, `kept_answers` what of it may be said again; `fetching` is what
both do over HTTP. `client_address` and `presented` read what a handshake says of its sender.
"""
