"""The proof that it works: one real message goes all the way, or the hop that dropped it is named.

Open ports prove little. The proof is what a person would do: say something in a chat and wait for
the first words of the answer. What has come back by then tells how far the message went.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from dataclasses import dataclass, replace

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from deploy.local.stack_file import StackFile

SESSION = "talklog-ready"
PROMPT = "Reply with the single word: ready"
FIRST_WORDS_S = 60.0
REST_S = 5.0


class ProofFailed(Exception):
    """The message did not come through; the text names the hop that did not pass it on."""


@dataclass(frozen=True, slots=True)
class Seen:
    """How far the message is known to have come."""

    connected: bool = False
    accepted: bool = False
    taken: bool = False
    answered: bool = False
    ended: bool = False
    failure: str = ""


def after(seen: Seen, frame: dict[str, object], message_id: str) -> Seen:
    """What is known after one more frame."""
    if frame.get("type") == "status" and frame.get("state") == "connected":
        return replace(seen, connected=True)
    if frame.get("message_id") != message_id:
        return seen
    match frame.get("type"), frame.get("state"):
        case "status", "accepted":
            return replace(seen, accepted=True)
        case "status", "queued" | "generating":
            return replace(seen, accepted=True, taken=True)
        case "ai_response_chunk", _:
            return replace(seen, accepted=True, taken=True, answered=True)
        case "ai_response_complete", _:
            return replace(seen, accepted=True, taken=True, answered=True, ended=True)
        case "error", _:
            return replace(seen, ended=True, failure=f"{frame.get('code')}: {frame.get('message')}")
    return seen


def verdict(seen: Seen) -> str | None:
    """None if the message came through, else the hop that did not pass it on, in words."""
    because = f" ({seen.failure})" if seen.failure else ""
    if seen.answered and not seen.failure:
        return None
    if not seen.connected:
        return f"gateway: it did not greet the connection{because}"
    if not seen.accepted:
        return f"Kafka: the gateway got no acknowledgement for the message{because}"
    if not seen.taken:
        return f"worker: it did not take up the message that lies in the log{because}"
    return f"model: no answer came from it{because}"


async def prove(
    file: StackFile, *, token: str | None = None, within_s: float = FIRST_WORDS_S
) -> float:
    """Send one message through the first gateway; seconds until the first words came back.

    `token`: what the gateway asks for, if it asks.

    Raises:
        ProofFailed: they did not come.
    """
    address = file.gateways[0].url.replace("http://", "ws://", 1)
    message_id = f"ready-{secrets.token_hex(8)}"
    seen, started = Seen(), time.monotonic()
    took_s = 0.0
    try:
        async with (
            asyncio.timeout(within_s) as limit,
            connect(
                f"{address}/ws/chat/{SESSION}/",
                additional_headers={} if token is None else {"Authorization": f"Bearer {token}"},
                compression=None,
                proxy=None,
                max_size=2**22,
            ) as socket,
        ):
            question = {"type": "user_message", "content": PROMPT, "message_id": message_id}
            await socket.send(json.dumps(question))
            async for text in socket:
                seen = after(seen, json.loads(text), message_id)
                if seen.answered and not took_s:
                    took_s = time.monotonic() - started
                    # The first words prove it; a model that talks on is not waited for.
                    await socket.send(json.dumps({"type": "cancel", "message_id": message_id}))
                    limit.reschedule(asyncio.get_running_loop().time() + REST_S)
                if seen.ended:
                    break
    except TimeoutError:
        pass
    except (OSError, WebSocketException, ValueError) as error:
        seen = replace(seen, failure=seen.failure or f"{type(error).__name__}: {error}")
    if problem := verdict(seen):
        raise ProofFailed(f"{problem}, after {time.monotonic() - started:.0f} s")
    return took_s
