"""What servers call the end of an answer -> what it means. Pure.

Only what is known to be a good end is one: whatever else a server says (an error, an abort, no
room on its side) leaves the answer incomplete, and its reader is told so.
"""

from schemas.events import FinishReason

_STOP = frozenset(
    {
        "stop",
        "stop_sequence",
        "stop_token",
        "stop_string",
        "eos",
        "eos_token",
        "eos_token_id",
        "end",
        "end_turn",
        "endoftext",
        "end_of_text",
        "complete",
        "completed",
        "done",
        "finish",
        "finished",
        "normal",
        "success",
        "tool_calls",
        "tool_call",
        "tool_use",
        "function_call",
        "pause_turn",
    }
)
_LENGTH = frozenset(
    {
        "length",
        "max_tokens",
        "max_token",
        "max_output_tokens",
        "max_new_tokens",
        "max_length",
        "max_completion_tokens",
        "model_length",
        "model_context_window_exceeded",
        "token_limit",
    }
)
_FILTER = frozenset(
    {
        "content_filter",
        "content_filtered",
        "contentfilter",
        "filter",
        "filtered",
        "safety",
        "sensitive",
        "recitation",
        "blocklist",
        "blocked",
        "prohibited_content",
        "spii",
        "refusal",
        "moderation",
        "guardrail",
        "guardrails",
        "guardrail_intervened",
        "image_safety",
        "language",
        "risk",
        "illegal",
        "toxic",
        "unsafe",
    }
)
_NONE = frozenset({"", "null", "none", "unspecified", "finish_reason_unspecified"})


def finish_reason_of(told: object) -> FinishReason | None:
    """Give what a finish reason means; None: it is none."""
    if told is None or told is False:
        return None
    word = str(told).strip().lower().replace("-", "_").replace(" ", "_")
    if word in _NONE:
        return None
    if word in _STOP:
        return "stop"
    if word in _LENGTH:
        return "length"
    if word in _FILTER:
        return "content_filter"
    return "incomplete"
