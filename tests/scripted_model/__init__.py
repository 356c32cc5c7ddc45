"""A model server that does as the prompt says: paced, deterministic, faulty on request.

It speaks the OpenAI streaming API, so everything between the browser and the model is the real
thing in a test. What it writes can be foretold: each token is named by message, call and index
(` m17/c1/0042`), so a token that is lost, doubled, out of order or of another attempt shows in
the text itself. `script` reads the directives, `wire` makes the bytes, `ledger` remembers who
asked what, `server` puts them on a socket. Run it with `python -m tests.scripted_model`.
"""
