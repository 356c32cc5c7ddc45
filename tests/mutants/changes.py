"""The changes: each is one rule broken in one file, with the tests that it must turn red.

A rule that stands in both languages is broken in each of them by itself. The text must be found
exactly once, so that a change which no longer fits the code is noticed.
"""

from dataclasses import dataclass

FOLD = ("tests/unit/schemas",)
PAGE = ("tests/unit/page",)
WORKERS = ("tests/unit/workers",)
ACKNOWLEDGED = ("tests/unit/workers/intake/test_ack_window.py",)
GATEWAY = ("tests/unit/gateway",)
ATTEMPTS = ("tests/unit/workers/attempt",)
ROWS = ("tests/unit/persister",)
ATTEMPT = ("tests/unit/workers/attempt",)
SEAM = ("tests/unit/workers/model/test_seam.py",)
IDENTITY = ("tests/unit/gateway/identity",)
ADMISSION = (
    "tests/unit/gateway/socket/test_admission.py",
    "tests/unit/gateway/socket/test_renewal.py",
)
LIMITS = ("tests/unit/gateway/limits",)
STORIES = ("tests/simulation/test_stories.py",)

TRANSCRIPT = "schemas/transcript.py"
FOLD_JS = "gateway/page/fold.js"
REDUCER_JS = "gateway/page/reducer.js"


@dataclass(frozen=True)
class Mutant:
    """`old` becomes `new` in `file`; one of `tests` has to fail."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


def misfit(mutant: Mutant, source: str) -> str | None:
    """Say why the change can't be made in `source`, the text of its file."""
    found = source.count(mutant.old)
    if found == 1:
        return None
    return f"{mutant.name}: its text stands {found} times in {mutant.file}"


MUTANTS = (
    Mutant(
        "who joins again and again need not wait",
        "gateway/socket/pace.py",
        "self._bucket.take(0, time.monotonic(), JOIN_COSTS - 1)",
        "pass",
        ("tests/unit/gateway/socket/test_floods.py",),
    ),
    Mutant(
        "a page of history costs as little as a ping",
        "gateway/socket/pace.py",
        "    GiveEarlier: PAGE_COSTS,\n",
        "",
        ("tests/unit/gateway/socket/test_floods.py",),
    ),
    Mutant(
        "a record that comes alone wakes every reader",
        "schemas/log/reading_pace.py",
        "elif records and not alone:",
        "elif records:",
        ("tests/unit/schemas/log/test_reading_pace.py",),
    ),
    Mutant(
        "a flood that comes anew has a new burst",
        "gateway/socket/frame_bucket.py",
        "found = None if user is None else self._of_users.get(user)",
        "found = None",
        (
            "tests/unit/gateway/socket/test_frame_bucket.py",
            "tests/unit/gateway/socket/test_floods.py",
        ),
    ),
    Mutant(
        "a shard that is followed anew waits for seconds, as one at rest",
        "schemas/log/reading_pace.py",
        "        self._awake_until_s = now_s + AWAKE_S",
        "        return",
        ("tests/unit/schemas/log/test_reading_pace.py",),
    ),
    Mutant(
        "a worker rests while a message waits for time to pass",
        "workers/intake/intake.py",
        "self._lanes.any_watched or ",
        "",
        ("tests/unit/workers/intake/test_handover.py",),
    ),
    Mutant(
        "a late start brings a forgotten message back",
        TRANSCRIPT,
        "return offset is None or self.forgets(Place(epoch, offset))",
        "return False",
        FOLD,
    ),
    Mutant(
        "a late start brings a forgotten message back, on the page",
        FOLD_JS,
        "return forgotten === null || event.prompt_offset >= forgotten;",
        "return true;",
        PAGE,
    ),
    Mutant(
        "what was said before becomes a row after the session was forgotten",
        "persister/rows.py",
        "if session.transcript.forgets(place):\n                        continue",
        "if session.transcript.forgets(place):\n                        pass",
        ROWS,
    ),
    Mutant(
        "a forgotten message is answered all the same",
        "workers/intake/judge.py",
        "if fold.forgets(work.message.session_id, work.offsets[0]):",
        "if False:",
        ("tests/unit/workers/intake/test_forgotten.py",),
    ),
    Mutant(
        "a fenced chunk is shown",
        TRANSCRIPT,
        "    if not _current(message, event.attempt):\n"
        "        return Outcome.FENCED\n"
        "    if event.sequence <= message.last_sequence:",
        "    if event.sequence <= message.last_sequence:",
        FOLD,
    ),
    Mutant(
        "a fenced chunk is shown (page)",
        FOLD_JS,
        "function place(message, event, last) {\n"
        '  if (!isCurrent(message, event)) return ["FENCED"];\n',
        "function place(message, event, last) {\n",
        PAGE,
    ),
    Mutant(
        "a second terminal is taken",
        TRANSCRIPT,
        "        elif message.terminal:\n",
        "        elif message.terminal and not isinstance(event, Complete | Error):\n",
        FOLD,
    ),
    Mutant(
        "a second terminal is taken (page)",
        FOLD_JS,
        "if (message && isTerminal(message)) return",
        'if (message && isTerminal(message) && event.type !== "ai_response_complete" '
        '&& event.type !== "error") return',
        PAGE,
    ),
    Mutant(
        "a start after a terminal is taken",
        TRANSCRIPT,
        "        elif message.terminal:\n",
        "        elif message.terminal and getattr(event, 'state', '') != 'generating':\n",
        FOLD,
    ),
    Mutant(
        "a start after a terminal is taken (page)",
        FOLD_JS,
        "if (message && isTerminal(message)) return",
        'if (message && isTerminal(message) && event.state !== "generating") return',
        PAGE,
    ),
    Mutant(
        "a terminal without attempt ends one that runs",
        TRANSCRIPT,
        "    if event.attempt != message.attempt:\n",
        "    if event.attempt is not None and event.attempt != message.attempt:\n",
        FOLD,
    ),
    Mutant(
        "a terminal without attempt ends one that runs (page)",
        FOLD_JS,
        "if ((event.attempt ?? null) !== message.attempt)",
        "if ((event.attempt ?? message.attempt) !== message.attempt)",
        PAGE,
    ),
    Mutant(
        "fences are compared the wrong way",
        TRANSCRIPT,
        "fence < message.fence",
        "fence > message.fence",
        FOLD,
    ),
    Mutant(
        "fences are compared the wrong way (page)",
        FOLD_JS,
        "compareFences(fence, message.fence) < 0",
        "compareFences(fence, message.fence) > 0",
        PAGE,
    ),
    Mutant(
        "an equal fence is too low",
        TRANSCRIPT,
        "fence < message.fence",
        "fence <= message.fence",
        FOLD,
    ),
    Mutant(
        "an equal fence is too low (page)",
        FOLD_JS,
        "compareFences(fence, message.fence) < 0",
        "compareFences(fence, message.fence) <= 0",
        PAGE,
    ),
    Mutant(
        "released is not counted",
        TRANSCRIPT,
        "    message.unended_starts -= 1\n",
        "",
        FOLD,
    ),
    Mutant(
        "released is not counted (page)",
        FOLD_JS,
        "unended_starts: message.unended_starts - 1",
        "unended_starts: message.unended_starts",
        PAGE,
    ),
    Mutant(
        "a released attempt goes on",
        TRANSCRIPT,
        '    message.state = "queued"\n    message.released = True\n',
        "    message.released = True\n",
        FOLD,
    ),
    Mutant(
        "a released attempt goes on (page)",
        FOLD_JS,
        'return ["RELEASED", { state: "queued", released: true,',
        'return ["RELEASED", { released: true,',
        PAGE,
    ),
    Mutant(
        "a jump is hidden",
        TRANSCRIPT,
        "message.damaged or first > message.last_sequence + 1",
        "message.damaged",
        FOLD,
    ),
    Mutant(
        "a jump is hidden (page)",
        FOLD_JS,
        "message.damaged || first > message.last_sequence + 1",
        "message.damaged",
        PAGE,
    ),
    Mutant(
        "a last chunk that never came is hidden",
        TRANSCRIPT,
        "message.damaged or event.last_sequence > message.last_sequence",
        "message.damaged",
        FOLD,
    ),
    Mutant(
        "a last chunk that never came is hidden (page)",
        FOLD_JS,
        "message.damaged || (event.last_sequence ?? 0) > message.last_sequence",
        "message.damaged",
        PAGE,
    ),
    Mutant(
        "a new attempt keeps the text of the one before",
        TRANSCRIPT,
        "        message.contents, message.damaged = [], False\n",
        "        message.damaged = False\n",
        FOLD,
    ),
    Mutant(
        "a start that continues takes the text away",
        TRANSCRIPT,
        "    if event.continues is None:\n        message.contents",
        "    if True:\n        message.contents",
        FOLD,
    ),
    Mutant(
        "the first chunk of an attempt that continues doubles the text",
        TRANSCRIPT,
        "    if message.last_sequence == 0:\n        message.contents = []",
        "    if False:\n        message.contents = []",
        FOLD,
    ),
    Mutant(
        "a new attempt keeps the text of the one before (page)",
        FOLD_JS,
        '      text: goesOn ? message.text : "",\n',
        "      text: message.text,\n",
        PAGE,
    ),
    Mutant(
        "a start that continues takes the text away (page)",
        FOLD_JS,
        '      text: goesOn ? message.text : "",\n',
        '      text: "",\n',
        PAGE,
    ),
    Mutant(
        "the first chunk of an attempt that continues doubles the text (page)",
        FOLD_JS,
        "    text: message.last_sequence === 0 ? event.content : message.text + event.content,\n",
        "    text: message.text + event.content,\n",
        PAGE,
    ),
    Mutant(
        "a repeated frame is taken (page)",
        REDUCER_JS,
        "if (order <= 0) return view;",
        "if (order < 0) return view;",
        PAGE,
    ),
    Mutant(
        "the ended are forgotten (page)",
        REDUCER_JS,
        " || view.ended.has(id)) return moved;",
        ") return moved;",
        PAGE,
    ),
    Mutant(
        "the fold is kept over a lost place (page)",
        REDUCER_JS,
        "joined: false, cursor: null, messages: new Map(), forgotten };",
        "joined: false, cursor: null, forgotten };",
        PAGE,
    ),
    Mutant(
        "a resume begins one record too late",
        "gateway/feed/resume.py",
        "return last.offset + 1",
        "return last.offset + 2",
        GATEWAY,
    ),
    Mutant(
        "a resume begins one record too early",
        "gateway/feed/resume.py",
        "return last.offset + 1",
        "return last.offset",
        GATEWAY,
    ),
    Mutant(
        "a cursor past the end is believed",
        "gateway/feed/resume.py",
        " or last.offset >= end:",
        ":",
        GATEWAY,
    ),
    Mutant(
        "a merge over a jump",
        "gateway/feed/delivery.py",
        "chunk.sequence == last.sequence + 1",
        "chunk.sequence > last.sequence",
        GATEWAY,
    ),
    Mutant(
        "a merge across attempts",
        "gateway/feed/delivery.py",
        "        and chunk.attempt == last.attempt\n",
        "",
        GATEWAY,
    ),
    Mutant(
        "reasoning and text are mixed on their way",
        "workers/attempt/pacing.py",
        "while self._waiting and self._waiting[0].is_reasoning is is_reasoning:",
        "while self._waiting:",
        WORKERS,
    ),
    Mutant(
        "reasoning is merged with text",
        "gateway/feed/delivery.py",
        "        and type(chunk) is type(last)\n",
        "",
        GATEWAY,
    ),
    Mutant(
        "a merge across a start",
        "gateway/feed/delivery.py",
        "        if not isinstance(event, Chunk | ReasoningChunk):\n"
        "            yield from _flush(run, cursor_prefix)\n",
        "        if not isinstance(event, Chunk | ReasoningChunk):\n",
        GATEWAY,
    ),
    Mutant(
        "the cursor of a merged frame is that of its first chunk",
        "gateway/feed/delivery.py",
        "        last, record = run[-1]\n",
        "        last, record = run[-1][0], run[0][1]\n",
        GATEWAY,
    ),
    Mutant(
        "a snapshot without `ended`",
        "gateway/snapshot/snapshot.py",
        "ended=list(dict.fromkeys([*ended, *over]))[-ENDED_MAX_IDS:],",
        "ended=[],",
        GATEWAY,
    ),
    Mutant(
        "a snapshot without what ended since the join",
        "gateway/snapshot/snapshot.py",
        "for part in (newest, since, open_ones)",
        "for part in (newest, open_ones)",
        GATEWAY,
    ),
    Mutant(
        "a snapshot too big drops what runs",
        "gateway/snapshot/snapshot.py",
        "        if message.terminal and message.message_id in kept:\n",
        "        if message.message_id in kept:\n",
        GATEWAY,
    ),
    Mutant(
        "acknowledged before it is read back",
        "workers/intake/ack_window.py",
        "    return view is not None and view.terminal and remembering is not Remembering.NEEDED\n",
        "    return remembering is not Remembering.NEEDED\n",
        ACKNOWLEDGED,
    ),
    Mutant(
        "acknowledged before its turns are stored",
        "workers/intake/judge.py",
        "        work.step = Step.STORING\n",
        "        work.step = Step.STORING\n"
        "        self._lanes.finish(work, over_elsewhere=False, remembering=Remembering.GIVEN_UP)\n"
        "        return\n",
        WORKERS,
    ),
    Mutant(
        "acknowledged with its turns still needed",
        "workers/intake/ack_window.py",
        "view.terminal and remembering is not Remembering.NEEDED\n",
        "view.terminal\n",
        ACKNOWLEDGED,
    ),
    Mutant(
        "committed past a gap",
        "workers/intake/ack_window.py",
        "            if not self._slots[first].done:\n                return\n",
        "",
        WORKERS,
    ),
    Mutant(
        "silence by the clock alone",
        "workers/intake/judge.py",
        "return Silence.SILENT if fold.read_to >= due_s else Silence.UNSURE",
        "return Silence.SILENT",
        WORKERS,
    ),
    Mutant(
        "the fence does not count the starts",
        "workers/intake/own_attempts.py",
        "        work.starts_sent += 1\n",
        "",
        WORKERS,
    ),
    Mutant(
        "busy without having read to the end",
        "workers/intake/decision.py",
        "return _busy(facts) if facts.read_since_delivery else Do.READ_TO_END",
        "return _busy(facts)",
        WORKERS,
    ),
    Mutant(
        "a message that is sent again interrupts what came after it",
        "workers/intake/lanes.py",
        "if busy or not _stands_in_its_place(work, view):",
        "if busy:",
        WORKERS,
    ),
    Mutant(
        "history appended instead of merged",
        "workers/history/turns.py",
        "    return _trimmed(sorted(messages.values(), key=_place), budget_tokens)",
        "    return _trimmed(list(messages.values()), budget_tokens)",
        WORKERS,
    ),
    Mutant(
        "what the fold has forgotten is taken for what never was",
        "workers/intake/shard_fold.py",
        "        return self.start <= offset and self.forgotten_to <= offset",
        "        return self.start <= offset",
        ("tests/unit/workers/history",),
    ),
    Mutant(
        "what the fold forgets between two messages is not noted",
        "workers/history/known_messages.py",
        "        ids.update(message.message_id for message in at_hand.messages)\n",
        "",
        ("tests/unit/workers/history",),
    ),
    Mutant(
        "a history is remembered that another owner has written to",
        "workers/history/recent_histories.py",
        "        and message.last.offset >= offset\n",
        "        and False\n",
        ("tests/unit/workers/history",),
    ),
    Mutant(
        "a history is remembered of a session that was forgotten since",
        "workers/intake/shard_fold.py",
        "if self.forgotten is not None and self.forgotten.at.offset >= offset:",
        "if False:",
        ("tests/unit/workers/history",),
    ),
    Mutant(
        "a model that says all at once stops the loop",
        "workers/model/stream.py",
        "self._body.read_now(self._moment_bytes)",
        "self._body.read_now()",
        ("tests/contract/test_transport.py",),
    ),
    Mutant(
        "a text that may not be the first takes its place",
        "workers/history/sessions.py",
        "        if action.sure:",
        "        if True:",
        ("tests/unit/workers/history",),
    ),
    Mutant(
        "what the persister has forgotten is not looked up",
        "persister/rows.py",
        "return session is not None and session.knows(message_id)",
        "return session is None or session.knows(message_id)",
        STORIES,
    ),
    Mutant(
        "a chunk_sequence is given twice",
        "persister/rows.py",
        "        number = session.next_chunk_sequence\n",
        "        number = answer.next_chunk_sequence\n",
        ROWS,
    ),
    Mutant(
        "reasoning is kept when an attempt begins anew",
        TRANSCRIPT,
        "        message.reasoning_contents = []\n",
        "",
        FOLD,
    ),
    Mutant(
        "reasoning is kept when an attempt begins anew (page)",
        FOLD_JS,
        '      reasoning: goesOn ? message.reasoning : "",\n',
        "",
        PAGE,
    ),
    Mutant(
        "repeated reasoning is put behind what is there",
        TRANSCRIPT,
        "    if event.sequence <= message.last_reasoning_sequence:\n"
        "        return Outcome.REPEATED\n",
        "",
        FOLD,
    ),
    Mutant(
        "the reasoning of a replaced attempt stays in its row",
        "persister/rows.py",
        "        if answer.message.starts > 1:\n            self._anew[key] = None\n",
        "",
        ROWS,
    ),
    Mutant(
        "the chunks of a replaced attempt stay",
        "persister/rows.py",
        "        self._remove(draft)\n        # Only the first range",
        "        # Only the first range",
        ROWS,
    ),
    Mutant(
        "the last who cancels is taken for the first",
        "persister/said.py",
        "if isinstance(event, Cancel) and row.cancelled_at is None:",
        "if isinstance(event, Cancel):",
        ROWS,
    ),
    Mutant(
        "who cancelled a message is lost if it is said again in the same batch",
        "persister/said.py",
        "        else:\n            self._prompts[key] = PromptRow(\n",
        "        else:\n            self._cancels.pop(key, None)\n"
        "            self._prompts[key] = PromptRow(\n",
        ROWS,
    ),
    Mutant(
        "the others begin beside one that has died twice",
        "workers/intake/admission.py",
        "    if beside.twice_on_trial or turn.reserved:\n",
        "    if False:\n",
        WORKERS,
    ),
    Mutant(
        "a suspect begins before what had spoken has spoken again",
        "workers/intake/admission.py",
        "PATIENCE_S if beside.spoke_mute else SUSPECT_STEPS_BACK_S\n",
        "SUSPECT_STEPS_BACK_S\n",
        WORKERS,
    ),
    Mutant(
        "the text so far counts as a word of the attempt's own",
        "workers/intake/shard_fold.py",
        "    elif outcome is Outcome.CHUNK and heard.repeats:\n",
        "    elif False:\n",
        WORKERS,
    ),
    Mutant(
        "a text that the model can't go on with is tried again",
        "workers/intake/continuing.py",
        "    if fold.told_anew(key) or fold.mute_deaths",
        "    if fold.mute_deaths",
        WORKERS,
    ),
    Mutant(
        "a text that may kill its process is gone on with for ever",
        "workers/intake/continuing.py",
        " or fold.mute_deaths(key) >= MUTE_DEATHS_ANEW:\n",
        ":\n",
        WORKERS,
    ),
    Mutant(
        "silence is counted twice",
        "workers/intake/judge.py",
        "min(fold.heard_at(key), inf if logged_s is None else logged_s)",
        "fold.heard_at(key)",
        WORKERS,
    ),
    Mutant(
        "the model is asked before the log has said with which text it goes on",
        "workers/attempt/attempt.py",
        "            await self._alive_or_told()\n",
        "            break\n",
        ATTEMPT,
    ),
    Mutant(
        "white space that was cut comes twice",
        "workers/model/seam.py",
        "        return content[same:]\n",
        "        return content\n",
        SEAM,
    ),
    Mutant(
        "a repetition is told again",
        "workers/model/seam.py",
        "            if self._text.startswith(said[:sure]):\n",
        "            if False:\n",
        SEAM,
    ),
    Mutant(
        "two batches of one shard are under way",
        "workers/attempt/tick.py",
        "            if flow.shard not in self._sending:\n",
        "            if True:\n",
        ATTEMPTS,
    ),
    Mutant(
        "all who have a backlog are read in one turn",
        "workers/attempt/tick.py",
        "                await asyncio.sleep(0)\n",
        "",
        ATTEMPTS,
    ),
    Mutant(
        "who has been read of a backlog is the next again",
        "workers/attempt/tick.py",
        "                del self._backlogged[flow]\n",
        "",
        ATTEMPTS,
    ),
    Mutant(
        "a failed batch ends nobody",
        "workers/attempt/tick.py",
        "                flow.failed(failed)\n",
        "                flow.acknowledged()\n",
        ATTEMPTS,
    ),
    Mutant(
        "the model is read while as much waits as may",
        "workers/attempt/flow.py",
        " and not self._pacing.full:",
        ":",
        ATTEMPTS,
    ),
    Mutant(
        "an attempt ends while a record of it is in flight",
        "workers/attempt/flow.py",
        "        if self._in_flight:\n            return False\n",
        "",
        ATTEMPTS,
    ),
    Mutant(
        "a socket that is behind is given the newest record alone",
        "gateway/feed/followers.py",
        "(taking if follower.lacks_only(record.offset) else others)",
        "taking",
        GATEWAY,
    ),
    Mutant(
        "a record that a resume has brought already is given once more",
        "gateway/socket/connection.py",
        "self._position <= offset and ",
        "",
        GATEWAY,
    ),
    Mutant(
        "rights: a token is good for ever",
        "gateway/identity/claims.py",
        "    if now_s >= ends_s + leeway_s:",
        "    if now_s < 0:",
        IDENTITY,
    ),
    Mutant(
        "rights: a star in a subject is one in the pattern",
        "gateway/identity/rights.py",
        'parts = [part.replace(SUBJECT, subject or "") for part in pattern.split("*")]',
        'parts = pattern.replace(SUBJECT, subject or "").split("*")',
        IDENTITY,
    ),
    Mutant(
        "rights: a key is found by its name alone",
        "gateway/identity/keys.py",
        "return self._by_name.get((head.kid, head.algorithm))",
        "return next((k for (kid, _), k in self._by_name.items() if kid == head.kid), None)",
        IDENTITY,
    ),
    Mutant(
        "rights: every unknown name has the keys read",
        "gateway/identity/keyring.py",
        "self._asked_at_s >= REASK_S",
        "self._asked_at_s >= 0.0",
        IDENTITY,
    ),
    Mutant(
        "rights: any issuer signs for any other",
        "gateway/identity/tokens.py",
        "self._sources.get(head.issuer) or self._sources.get(None)",
        "next(iter(self._sources.values()), None)",
        IDENTITY,
    ),
    Mutant(
        "rights: who may not read is let in",
        "gateway/socket/admission.py",
        'if not rights.may("read", address.session_id):',
        "if not rights.verbs:",
        ADMISSION,
    ),
    Mutant(
        "rights: the end of a token closes nothing",
        "gateway/socket/connection.py",
        "        if self.gone or self._close_if_over():",
        "        if self.gone:",
        ADMISSION,
    ),
    Mutant(
        "rights: who may not cancel may interrupt",
        "gateway/socket/protocol.py",
        'ask.on_busy == "interrupt" and not',
        'ask.on_busy == "" and not',
        ADMISSION,
    ),
    Mutant(
        "rights: fewer rights leave the socket open",
        "gateway/socket/protocol.py",
        '        if rights.may("read", self._session_id):\n            return []\n',
        "        if rights.sessions:\n            return []\n",
        ADMISSION,
    ),
    Mutant(
        "limits: who is refused is counted all the same",
        "gateway/limits/limiter.py",
        "over is not None:\n            self.leave(who)\n            self.tell(over, who)",
        "over is not None:\n            self.tell(over, who)",
        LIMITS,
    ),
    Mutant(
        "limits: a scan of all that is kept costs what a short one costs",
        "gateway/socket/resuming.py",
        "max(SCAN_COSTS_LEAST, ceil(read_bytes / SCAN_BYTES))",
        "SCAN_COSTS_LEAST",
        ("tests/unit/gateway/socket/test_long_resumes.py",),
    ),
    Mutant(
        "limits: this machine is an address like any other",
        "gateway/limits/rules.py",
        "    if parsed.is_loopback:\n        return None\n",
        "",
        LIMITS,
    ),
    Mutant(
        "limits: those who come at once are let in at once",
        "gateway/limits/arrivals.py",
        "        self._next_at_s = at_s\n",
        "",
        LIMITS,
    ),
    Mutant(
        "a socket that is lost keeps where its errors came from",
        "gateway/socket/websocket.py",
        "        error.__traceback__ = None\n",
        "",
        ("tests/unit/gateway/socket/test_websocket.py",),
    ),
    Mutant(
        "limits: whoever comes last goes first",
        "gateway/socket/strangers.py",
        "oldest = next(iter(self._all))",
        "oldest = next(reversed(self._all))",
        ("tests/unit/gateway/socket/test_strangers.py",),
    ),
    Mutant(
        "snapshot: it ends before what came while it was made",
        "gateway/snapshot/snapshots.py",
        "            end = self._read_on(growing, session_id, shard, end)\n",
        "",
        ("tests/unit/gateway/snapshot/test_snapshots.py",),
    ),
    Mutant(
        "snapshot: it ends where the log does when it was made, not where its records do",
        "gateway/snapshot/snapshots.py",
        "shard, found.end)",
        "shard, max(found.end, self._tail.shard_logs[shard].end))",
        ("tests/unit/gateway/snapshot/test_snapshots.py",),
    ),
    Mutant(
        "snapshot: it ends before what was there at the join",
        "gateway/snapshot/snapshots.py",
        "            await self._tail_reaches(shard, joined.offset)\n",
        "",
        ("tests/unit/gateway/snapshot/test_snapshots.py",),
    ),
    Mutant(
        "limits: a worker that has stopped is believed for ever",
        "gateway/limits/overload.py",
        "            if each.old < OLD_AFTER\n",
        "",
        LIMITS,
    ),
    Mutant(
        "limits: what was refused for a time is sent at once",
        "gateway/page/session.js",
        "if (waitMs > 0) return",
        "if (waitMs > 1e12) return",
        PAGE,
    ),
)
