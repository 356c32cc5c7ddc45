# Two commands: `make run` and `make test`. Every other one is a thin call of `talklog`, too.
# Variables are given as `make run PORT=9000 WORKERS=2` or by the environment.

PYTHON ?= python3
PY := .venv/bin/python
.DEFAULT_GOAL := help

.PHONY: help run up down status test check chat token replay lag dead-letters rebuild verify settings doctor clean \
	schemas docs picture bench bench-all profile bench-stored bench-page bench-growth mutants test-faults test-managed \
	test-proxies test-deploy image lock-image chaos install-run install-test testers format lint types imports unit fuzz \
	audit install-fuzz attack forget soak test-dead-shards

help: ## what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  with PORT GATEWAYS WORKERS PERSISTERS BROKERS SHARDS STATE RESTART; \`make settings\` lists all"

# ---- the stack

run: install-run ## start the whole stack here; Ctrl-C stops it
	@exec $(PY) -m deploy run

up: install-run ## the same in the background; returns when a message went through
	@exec $(PY) -m deploy up

down: install-run ## stop it, whatever state it is in
	@exec $(PY) -m deploy down

status: install-run ## what lives, with pids and ports
	@exec $(PY) -m deploy status

clean: install-run ## stop it and throw its data away
	@exec $(PY) -m deploy clean

# ---- talking to it

# make hands what is given on to the recipe's environment, where the shell can quote it.
chat: install-run ## chat in the terminal: SESSION=abc URL=ws://localhost:8000
	@exec $(PY) -m deploy chat $${SESSION:+--session "$$SESSION"} $${URL:+--url "$$URL"}

token: install-run ## a token for development, with TALKLOG_JWT_SECRET: SUB=alice SESSIONS='alice-*' VERBS=read FOR=2h
	@exec $(PY) -m deploy token $${SUB:+--sub "$$SUB"} $${SESSIONS:+--sessions "$$SESSIONS"} \
		$${VERBS:+--verbs "$$VERBS"} $${FOR:+--for "$$FOR"}

replay: install-run ## re-read a conversation from the topic: SESSION=abc FORMAT=events FROM=postgres SPEED=1
	@exec $(PY) -m deploy replay $${SESSION:+--session "$$SESSION"} $${FORMAT:+--format "$$FORMAT"} \
		$${FROM:+--from "$$FROM"} $${SPEED:+--speed "$$SPEED"}

lag: install-run ## how far the readers are behind: WATCH=1 FORMAT=json
	@exec $(PY) -m deploy lag $(if $(WATCH),--watch) $(if $(FORMAT),--format $(FORMAT))

verify: install-run ## hold the log and Postgres to every rule: SINCE=2h
	@exec $(PY) -m deploy verify $(if $(SINCE),--since $(SINCE))

dead-letters: install-run ## what could not be used, and the way back: ARGS="list" ARGS="redrive 0.17"
	@exec $(PY) -m deploy dead-letters $(or $(ARGS),list)

rebuild: install-run ## make the persister's tables anew from the log, and compare: COMPARE=1 leaves them
	@exec $(PY) -m deploy rebuild $(if $(COMPARE),--compare)

forget: install-run ## erase a conversation: SESSION=abc, or all of a user's: WHO=alice SHARED=1; YES=1 does not ask
	@exec $(PY) -m deploy forget $${SESSION:+"$$SESSION"} $${WHO:+--user "$$WHO"} $(if $(SHARED),--shared) $(if $(YES),--yes)

settings: install-run ## every setting with its default and unit
	@exec $(PY) -m deploy settings

schemas: install-test ## write schemas/json and schemas/asyncapi.yaml again, from the structs
	@exec $(PY) -m deploy schemas

docs: install-test ## write docs/settings.md again, from the settings classes
	@exec $(PY) -m deploy settings --format markdown > docs/settings.md

picture: install-test ## take the picture of the page that the README shows
	@exec $(PY) -m tests.picture

bench: install-test ## latency and CPU by tier, on a stack of its own: SCENARIOS="A C" COMPARE=commit ARGS=--help
	@exec $(PY) -m tests.bench $(if $(SCENARIOS),--scenarios $(SCENARIOS)) $(if $(COMPARE),--compare $(COMPARE)) $(ARGS)

profile: install-test ## where the time of a tier goes under load, as a flame graph: TIER=worker
	@exec $(PY) -m tests.bench.profile $(or $(TIER),worker) $(ARGS)

bench-all: install-test ## the same and every other benchmark, one after another: over an hour
	@$(PY) -m tests.chromium
	@for each in "" .most .stored .connections .slow_client .old_cursors .takeovers .long_sessions .intake_growth .growth \
		.placement .page; do echo "== tests.bench$$each"; $(PY) -m tests.bench$$each || exit; done

bench-stored: install-test ## a million pieces: rows a second, verify, rebuild: ARGS=--help
	@exec $(PY) -m tests.bench.stored $(ARGS)

bench-page: install-test ## what a long answer costs the page, in a real browser: ARGS=--help
	@$(PY) -m tests.chromium
	@exec $(PY) -m tests.bench.page $(ARGS)

bench-growth: install-test ## CPU and p99 at 10², 10³, … of what grows, with the slope: ARGS="--most 1000 --only shards"
	@exec $(PY) -m tests.bench.growth $(ARGS)

mutants: install-test ## break one rule at a time in a copy; a test must notice: ARGS="--list"
	@exec $(PY) -m tests.mutants $(ARGS)

fuzz: install-fuzz ## look for bytes from outside that break a promise: TARGET=stream MINUTES=10 KEEP=1
	@exec $(PY) -m tests.fuzz $(TARGET) $(if $(MINUTES),--minutes $(MINUTES)) $(if $(KEEP),--keep)

audit: install-test ## ask whether anything that is pinned is known to be vulnerable: ARGS="--service osv"
	@exec $(PY) -m tests.audit $(ARGS)

test-faults: install-test ## every fault, three times, under load; ends with the table: ARGS="--list"
	@exec $(PY) -m tests.faults $(ARGS)

test-dead-shards: install-test ## a broker away that alone has some shards: the others feel nothing: DEAD_S=60
	@exec $(PY) -m pytest -n 0 tests/faults/dead_shards.py $(ARGS)

test-managed: install-test ## servers as a team has them: TLS, passwords, PgBouncer, Redis sentinels and cluster
	@for each in redis-server pgbouncer; do PATH="$$PATH:/usr/sbin" command -v $$each > /dev/null \
		|| { echo "$$each is missing (Debian: apt-get install redis-server postgresql pgbouncer)"; exit 1; }; done
	@exec $(PY) -m pytest -n 0 tests/managed/secure_stack.py tests/managed/behind_pgbouncer.py tests/managed/redis_kinds.py $(ARGS)

test-proxies: install-test ## the configurations of deploy/proxy, in the real nginx and HAProxy
	@exec $(PY) -m pytest -n 0 tests/proxies/behind_proxies.py $(ARGS)

test-deploy: install-test ## build the image, run it, and hold compose file and chart to their schemas: ARGS="-k chart"
	@$(PY) -m tests.deployed.tools
	@exec $(PY) -m pytest -q -o python_files='check_*.py' --timeout 1200 $(ARGS) tests/deployed

image: ## build the image, by ENGINE=docker (or podman, buildah): IMAGE=talklog BASE=debian:12-slim
	@exec $(or $(ENGINE),docker) build -f deploy/Dockerfile -t $(or $(IMAGE),talklog) \
		$(if $(BASE),--build-arg BASE=$(BASE)) .

lock-image: install-test ## write deploy/requirements-image.txt again: what the image holds, with hashes
	@$(PY) -m tests.deployed.tools
	@exec .cache/deploy-tools/bin/uv pip compile -q pyproject.toml -c constraints.txt --generate-hashes \
		--python-version 3.11 --python-platform linux --no-annotate \
		--custom-compile-command "make lock-image" -o deploy/requirements-image.txt

chaos: install-test ## kill things under load and count what is lost: MINUTES SEED SESSIONS BROKERS BREAK SHARDS HOSTILE=1
	@exec $(PY) -m tests.faults.chaos $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED)) \
		$(if $(SESSIONS),--sessions $(SESSIONS)) $(if $(BROKERS),--brokers $(BROKERS)) $(if $(BREAK),--break $(BREAK)) \
		$(if $(SHARDS),--shards $(SHARDS)) $(if $(HOSTILE),--hostile)

soak: install-test ## chaos beside attackers, 1,000 people on 100 shards: MINUTES=60 SESSIONS REST=60; memory and files too
	@exec $(PY) -m tests.faults.chaos --minutes $(or $(MINUTES),60) --shards $(or $(SHARDS),100) --hostile \
		--sessions $(or $(SESSIONS),1000) --rest $(or $(REST),60) $(if $(SEED),--seed $(SEED)) $(ARGS)

attack: install-test ## people chat while others do all the harm they can: MINUTES SEED HONEST HOSTILE
	@exec $(PY) -m tests.attack $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED)) \
		$(if $(HONEST),--honest $(HONEST)) $(if $(HOSTILE),--hostile $(HOSTILE)) $(ARGS)

doctor: ## what this machine lacks, and how to get it
	@exec $(if $(wildcard .venv/installed.json),$(PY) -m deploy doctor,$(PYTHON) deploy/operators/doctor.py)

# ---- checking

# The commit that lies here; nothing if a file of it was changed. What all tests passed on is kept in .cache/tested.
CLEAN_COMMIT = git diff --quiet HEAD 2> /dev/null && git rev-parse HEAD

test: install-test ## everything a machine can check, on stacks of its own: ARGS="-k name" TESTERS=2
	@$(PY) -m tests.chromium
	@$(MAKE) --no-print-directory -j2 -Otarget format lint imports
	@before=$$($(CLEAN_COMMIT)); $(MAKE) --no-print-directory -j2 types testers || exit; \
	$(if $(ARGS),:,test -z "$$before" || test "$$before" != "$$($(CLEAN_COMMIT))" || echo "$$before" > .cache/tested)

check: install-test ## format, lint, types, imports, unit tests: about ten seconds
	@$(MAKE) --no-print-directory -j2 -Otarget format lint types imports unit

testers:
	@exec $(PY) -m pytest -n $(or $(TESTERS),auto) --dist loadscope --no-loadscope-reorder --durations=10 $(ARGS)
format:
	@$(PY) -m ruff format --check --quiet . && echo "format   ok"
lint:
	@$(PY) -m ruff check --quiet . && echo "lint     ok"
types:
	@$(PY) -m mypy --no-error-summary && echo "types    ok"
imports:
	@.venv/bin/lint-imports > .cache/imports 2>&1 && echo "imports  ok" || { cat .cache/imports; exit 1; }
unit:
	@$(PY) -m pytest -q tests/unit

# ---- installing (nothing to do when it is there)

install-run:
	@$(PYTHON) deploy/local/install.py run

install-test:
	@mkdir -p .cache
	@$(PYTHON) deploy/local/install.py test

install-fuzz:
	@mkdir -p .cache
	@$(PYTHON) deploy/local/install.py fuzz
