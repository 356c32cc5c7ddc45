"""The whole stack on one machine: start it, watch it, stop it, leave nothing behind.

`stack` is the supervisor. Each server is one file that says how its process is started, when it
is ready and how it is stopped (`broker`, `postgres`, `redis`, `model`), the project's own
processes are in `services`. `process` runs one of them and starts it again when it dies;
`background` puts the supervisor behind `make up`, `make down` and `make status`.
"""
