"""The AsyncAPI 3 document: the WebSocket's channel and the topics, from the structs. Pure."""

from __future__ import annotations

import msgspec

from deploy.documents.json_schemas import (
    GATEWAY_FRAMES,
    SESSION_EVENTS,
    USER_EVENTS,
    Schema,
    components_of,
    in_log,
)
from schemas import requests, topics
from schemas.close_codes import RECONNECT, CloseCode


def asyncapi() -> Schema:
    """The whole as one document: the WebSocket's channel and the topics."""
    structs = (*USER_EVENTS, *SESSION_EVENTS, *requests.REQUESTS, *GATEWAY_FRAMES)
    _, components = components_of(structs, "#/components/schemas/{name}")
    components["InLog"] = in_log()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "talklog",
            "version": "1",
            "description": "Streaming chat on a log. Readers ignore unknown fields and types.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "gateway": {"host": "localhost:8000", "protocol": "ws"},
            "kafka": {"host": "localhost:9092", "protocol": "kafka"},
        },
        "channels": _channels(),
        "operations": _operations(),
        "components": {"messages": _messages(), "schemas": components},
    }


def _channels() -> Schema:
    socket = [*_names(requests.REQUESTS, "Request"), *_names(GATEWAY_FRAMES, "Frame")]
    socket += _names(SESSION_EVENTS, "LogFrame")
    return {
        "chat": {
            "address": "/ws/chat/{session_id}/",
            "servers": [{"$ref": "#/servers/gateway"}],
            "description": f"One JSON object a text frame. Close codes: {_close_codes()}.",
            "parameters": {"session_id": {"description": "1 to 255 of A-Z a-z 0-9 . _ : -"}},
            "bindings": {"ws": {"query": _query()}},
            "messages": _message_refs(socket),
        },
        topics.USER_MESSAGES: _topic("What people did, in one order.", USER_EVENTS),
        topics.SESSION_LOG: _topic("What became of it: the session log.", SESSION_EVENTS),
    }


def _topic(what: str, structs: tuple[type, ...]) -> Schema:
    return {
        "servers": [{"$ref": "#/servers/kafka"}],
        "description": f"{what} Key: session_id; its shard is murmur2 of the key.",
        "messages": _message_refs(_names(structs, "Event")),
    }


def _operations() -> Schema:
    chat = "#/channels/chat"

    def operation(action: str, what: str, names: list[str]) -> Schema:
        messages = [{"$ref": f"{chat}/messages/{name}"} for name in names]
        return {
            "action": action,
            "channel": {"$ref": chat},
            "summary": what,
            "messages": messages,
        }

    follow = [*_names(GATEWAY_FRAMES, "Frame"), *_names(SESSION_EVENTS, "LogFrame")]
    return {
        "ask": operation("receive", "A client asks.", _names(requests.REQUESTS, "Request")),
        "follow": operation("send", "A gateway tells.", follow),
    }


def _messages() -> Schema:
    kinds = {
        "Event": (*USER_EVENTS, *SESSION_EVENTS),
        "Request": requests.REQUESTS,
        "Frame": GATEWAY_FRAMES,
        "LogFrame": SESSION_EVENTS,
    }
    messages: Schema = {}
    for kind, structs in kinds.items():
        for struct, name in zip(structs, _names(structs, kind), strict=True):
            payload: Schema = {"$ref": f"#/components/schemas/{struct.__name__}"}
            if kind == "LogFrame":
                payload = {"allOf": [payload, {"$ref": "#/components/schemas/InLog"}]}
            messages[name] = {"name": _type_of(struct), "payload": payload}
    return messages


def _names(structs: tuple[type, ...], kind: str) -> list[str]:
    return [f"{struct.__name__}{kind}" for struct in structs]


def _message_refs(names: list[str]) -> Schema:
    return {name: {"$ref": f"#/components/messages/{name}"} for name in names}


def _type_of(struct: type) -> str:
    tag: str = msgspec.inspect.type_info(struct).tag  # type: ignore[attr-defined]
    return tag


def _query() -> Schema:
    return {
        "type": "object",
        "properties": {
            "cursor": {"type": "string", "description": "go on after this place"},
            "history": {
                "type": "integer",
                "minimum": 0,
                "default": 0,
                "description": "how many finished messages the snapshot may hold",
            },
            "token": {"type": "string", "description": "a JWT, for browsers"},
            "shard": {
                "type": "integer",
                "minimum": 0,
                "description": "the session's, for a balancer; a gateway does not read it",
            },
        },
    }


def _close_codes() -> str:
    return ", ".join(
        f"{code.value} {code.name.lower().replace('_', ' ')}"
        + (" (connect again)" if code in RECONNECT else "")
        for code in CloseCode
    )
