"""JSON Schemas of everything in the log and on the wire, from the structs that encode it. Pure.

What the structs can't say is added: which fields a status of each state must have, and that a
frame from the log has its cursor.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import msgspec

from schemas import events, frames, requests

DIALECT = "https://json-schema.org/draft/2020-12/schema"
USER_EVENTS = (events.UserMessage, events.Cancel)
SESSION_EVENTS = (
    events.Status,
    events.Chunk,
    events.ReasoningChunk,
    events.Complete,
    events.Error,
    events.SessionForgotten,
)
GATEWAY_FRAMES = (
    frames.Connected,
    frames.Accepted,
    frames.Queued,
    frames.HistoryUnavailable,
    frames.Reconnect,
    frames.Snapshot,
    frames.History,
    frames.Heartbeat,
    frames.Pong,
    frames.Refused,
)
STATE_FIELDS = {
    "queued": ("prompt",),
    "generating": ("attempt", "fence", "prompt"),
    "alive": ("attempt",),
    "cancelling": ("attempt",),
    "released": ("attempt",),
}
"""Which fields each state of a status must have; `events.Status` checks the same."""

Schema = dict[str, Any]


def json_schemas() -> dict[str, Schema]:
    """One schema each for what a topic holds and what either side of a socket may say."""
    kinds = {
        "user_messages": ("What a record of the topic user_messages holds.", USER_EVENTS),
        "ai_response_chunks": ("What a record of ai_response_chunks holds.", SESSION_EVENTS),
        "client_frames": ("What a client may say.", requests.REQUESTS),
        "gateway_frames": ("What only a gateway says; none of them ends anything.", GATEWAY_FRAMES),
    }
    files = {}
    for name, (what, structs) in kinds.items():
        refs, components = components_of(structs, "#/$defs/{name}")
        files[name] = {"$schema": DIALECT, "description": what, "oneOf": refs, "$defs": components}
    refs, components = components_of(SESSION_EVENTS, "#/$defs/{name}")
    files["log_frames"] = {
        "$schema": DIALECT,
        "description": "An event of the log as a socket is given it: with its cursor.",
        "allOf": [{"oneOf": refs}, in_log()],
        "$defs": components,
    }
    return files


def components_of(
    structs: tuple[type, ...], reference: str
) -> tuple[list[Schema], dict[str, Schema]]:
    """Give a reference to each struct's schema, and the schemas of all that they need, by name."""
    refs, components = msgspec.json.schema_components(structs, ref_template=reference)
    stated = {name: _stated(_tidy(schema)) for name, schema in sorted(components.items())}
    return [dict(ref) for ref in refs], stated


def _tidy(schema: Mapping[str, Any]) -> Schema:
    """One line of description; a field with one possible value is always written."""
    tidy = copy.deepcopy(dict(schema))
    if "description" in tidy:
        tidy["description"] = " ".join(tidy["description"].split())
    for name, field in tidy.get("properties", {}).items():
        if len(field.get("enum", ())) == 1 and name not in tidy["required"]:
            tidy["required"].append(name)
    return tidy


def _stated(schema: Schema) -> Schema:
    """Say of a status which fields its state must have."""
    states = schema.get("properties", {}).get("state", {}).get("enum", ())
    if set(states) == set(STATE_FIELDS):
        schema["allOf"] = [
            {
                "if": {"properties": {"state": {"const": state}}},
                "then": {
                    "required": list(fields),
                    "properties": {field: {"not": {"type": "null"}} for field in fields},
                },
            }
            for state, fields in STATE_FIELDS.items()
        ]
    return schema


def in_log() -> Schema:
    """Give what a frame from the log has beside the event."""
    return {
        "type": "object",
        "properties": {
            "cursor": {
                "type": "string",
                "pattern": r"^\d+\.\d+\.\d+$",
                "description": "epoch.shard.offset of the record (of the last, if merged)",
            },
            "first_sequence": {
                "type": "integer",
                "minimum": 1,
                "description": "of chunks: this frame holds the chunks from here to sequence",
            },
        },
        "required": ["cursor"],
    }
