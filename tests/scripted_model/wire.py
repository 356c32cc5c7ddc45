"""The bytes of a scripted stream: Server-Sent Events of chat completion chunks.

The frame of a token is a constant before, the token, and a constant behind, because the server
must be far cheaper than what it measures.
"""

import json
import time

from tests.scripted_model.script import Script, thought, token_text

DONE = b"data: [DONE]\n\n"
GARBAGE = b'data: {"id": "chatcmpl", "choices": [{"delta": {"conte\n\n'
ERROR = b'data: {"error": {"message": "the engine died", "type": "server_error", "code": 500}}\n\n'
TOO_LONG = b"data: " + b"x" * (4 << 20)


class Wire:
    """Makes the events of one call, in the dress its script asks for."""

    def __init__(self, script: Script, call: int, model: str) -> None:
        self._script = script
        self.named = call
        """The call after which its tokens are named."""
        head = {
            "id": f"chatcmpl-{script.key}-{call}",
            "object": "chat.completion.chunk",
            "created": 0,
            "model": model,
        }
        self._head = json.dumps(head)[:-1].encode()
        self._before = b"data: " + self._head + b', "choices": [{"index": 0, "delta": {"content": "'
        self._behind = b'"}, "finish_reason": null}]}\n\n'

    def opening(self) -> bytes:
        """What comes before the first token: the role, and what readers should ignore."""
        events = [self._event([_choice({"role": "assistant", "content": ""})])]
        dress = self._script.dress
        if "comments" in dress:
            events.append(b": processing\n\n")
        if "reasoning" in dress:
            events.append(self._event([_choice({"reasoning_content": "hm, let me think"})]))
            events.append(self._event([_choice({"reasoning": "hm", "content": None})]))
        if "tools" in dress:
            call = {"index": 0, "id": "c1", "function": {"name": "f", "arguments": "{}"}}
            events.append(self._event([_choice({"tool_calls": [call]})]))
        return self._dressed(b"".join(events), first=True)

    def tokens(self, start: int, stop: int) -> bytes:
        """The events of the tokens from `start` up to `stop`."""
        before, behind = self._before, self._behind
        thinks = "thinks" in self._script.dress
        plain = b"".join(
            (self._thought(index) if thinks else b"") + before + self._token(index) + behind
            for index in range(start, stop)
        )
        return self._dressed(plain)

    def _thought(self, index: int) -> bytes:
        told = thought(index)
        return self._event([_choice({"reasoning_content": told})]) if told else b""

    def text(self, content: str) -> bytes:
        """The event of a text that is no token."""
        return self._dressed(self._event([_choice({"content": content})]))

    def _token(self, index: int) -> bytes:
        script = self._script
        text = token_text(script.key, self.named, index).encode()
        if script.stamp:
            text += b"@%d" % time.monotonic_ns()
        if script.huge and index == 1:
            text += b"~" * script.huge
        if script.dress and index == 1:
            text += self._odd()
        return text

    def _odd(self) -> bytes:
        odd = {"nul": b"\\u0000", "surrogate": b"\\ud83d", "bad_utf8": b"\xff\xfe"}
        odd["emoji"] = "\\ud83d\\ude00|😀|é|漢".encode()
        return b"".join(text for name, text in odd.items() if name in self._script.dress)

    def finish(self) -> bytes:
        return self._dressed(
            self._event([{"index": 0, "delta": {}, "finish_reason": self._script.finish}])
        )

    def usage(self, usage: dict[str, int]) -> bytes:
        return self._dressed(self._event([], usage))

    def done(self) -> bytes:
        return self._dressed(DONE)

    def _event(
        self, choices: list[dict[str, object]], usage: dict[str, int] | None = None
    ) -> bytes:
        tail = json.dumps({"choices": choices, "usage": usage})[1:]
        return b"data: " + self._head + b", " + tail.encode() + b"\n\n"

    def _dressed(self, events: bytes, *, first: bool = False) -> bytes:
        dress = self._script.dress
        if not dress:
            return events
        if "multiline" in dress:
            events = events.replace(b', "choices"', b',\ndata: "choices"')
        if "comments" in dress:
            events = b": still here\n" + events
        if "crlf" in dress:
            events = events.replace(b"\n", b"\r\n")
        if "cr" in dress:
            events = events.replace(b"\n", b"\r")
        return b"\xef\xbb\xbf" + events if first and "bom" in dress else events


def _choice(delta: dict[str, object]) -> dict[str, object]:
    return {"index": 0, "delta": delta, "finish_reason": None}
