"""`talklog schemas`: writes the JSON Schemas and the AsyncAPI document from the structs in code.

The structs are what the services encode and decode, so they are the source, and the documents are
written for those who speak to talklog from elsewhere. A test fails when they differ.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from schemas import events, frames
from schemas.topics import SESSION_LOG, USER_MESSAGES

EVENTS: dict[str, tuple[type[msgspec.Struct], ...]] = {
    USER_MESSAGES: (events.UserMessage, events.Cancel),
    SESSION_LOG: (events.Status, events.Chunk, events.Complete, events.Error),
}
"""The events of each topic."""

FRAMES: tuple[type[msgspec.Struct], ...] = (
    frames.Connected,
    frames.Accepted,
    frames.HistoryUnavailable,
    frames.Reconnect,
    frames.Refused,
    frames.Snapshot,
    frames.Heartbeat,
    frames.Pong,
)
"""What only the gateway says."""

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schemas(
    folder: Annotated[
        Path | None, typer.Option(help="where to write  [default: the package]")
    ] = None,
) -> None:
    """Write the JSON Schemas and the AsyncAPI document."""
    target = folder or Path(str(resources.files("schemas")))
    for name, text in documents().items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        print(path)


def documents() -> dict[str, str]:
    """Give every document's text by its path below `schemas/`."""
    structs = [struct for group in EVENTS.values() for struct in group] + list(FRAMES)
    texts = {f"json/{_title(struct)}.json": _text(_json_schema(struct)) for struct in structs}
    return texts | {"asyncapi.yaml": _text(asyncapi())}


def asyncapi() -> dict[str, Any]:
    """Give the AsyncAPI 3 document: the two topics, and the WebSocket (JSON is YAML as well)."""
    structs = [struct for group in EVENTS.values() for struct in group] + list(FRAMES)
    _, components = msgspec.json.schema_components(
        structs, ref_template="#/components/schemas/{name}"
    )
    channels: dict[str, Any] = {
        topic: _channel(topic, f"Kafka topic {topic}, keyed by session_id", group)
        for topic, group in EVENTS.items()
    }
    channels["chat"] = _channel(
        "/ws/chat/{session_id}/",
        "WebSocket; events of the session log come as frames too, with their `cursor`",
        (*EVENTS[SESSION_LOG], *FRAMES),
    ) | {"parameters": {"session_id": {"description": "1 to 255 of A-Z a-z 0-9 . _ : -"}}}
    messages = {_title(s): {"payload": _reference(f"schemas/{s.__name__}")} for s in structs}
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "talklog", "version": "1", "description": "Streaming chat on a log."},
        "channels": channels,
        "operations": {
            f"{action}_{name}": {"action": action, "channel": {"$ref": f"#/channels/{name}"}}
            for name, action in ((USER_MESSAGES, "send"), (SESSION_LOG, "send"), ("chat", "send"))
        },
        "components": {"messages": messages, "schemas": components},
    }


def _channel(
    address: str, description: str, group: tuple[type[msgspec.Struct], ...]
) -> dict[str, Any]:
    messages = {_title(struct): _reference(f"messages/{_title(struct)}") for struct in group}
    return {"address": address, "description": description, "messages": messages}


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/{name}"}


def _json_schema(struct: type[msgspec.Struct]) -> Mapping[str, Any]:
    return {"$schema": DIALECT, **msgspec.json.schema(struct)}


def _title(struct: type[msgspec.Struct]) -> str:
    """Give the name of a document: the type, and the struct where several share a type."""
    tag = str(struct.__struct_config__.tag)
    shared = tag in ("status", "error") and struct not in (events.Status, events.Error)
    return f"{tag}_{struct.__name__.lower()}" if shared else tag


def _text(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
