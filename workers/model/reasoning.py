"""What a model thinks aloud, as servers tell it beside the text of an answer. Pure.

| form | whose |
|---|---|
| `reasoning_content` | DeepSeek, vLLM, SGLang, llama.cpp, LM Studio, Qwen, xAI |
| `reasoning` | OpenRouter, Groq, Ollama, newer vLLM |
| `thinking` | Ollama's own name |
| `reasoning_details`, a list of typed parts | OpenRouter, beside `reasoning` |
| parts of the content, of type `thinking` or `reasoning` | Mistral, Anthropic |

Some servers send the same thought under two names: one of them is taken. What is encrypted or
redacted is no text.
"""

from typing import Any

NAMES = ("reasoning_content", "reasoning", "thinking", "reasoning_details")
_PARTS = ("thinking", "reasoning", "reasoning.text", "reasoning.summary", "summary_text")
_TEXTS = ("text", "thinking", "reasoning", "summary", "content")
_DEPTH_MAX = 4


def reasoning_in(told: dict[str, Any]) -> str:
    """Give the reasoning of a delta or of a whole message."""
    beside = next((thought for name in NAMES if (thought := thought_of(told.get(name)))), "")
    content = told.get("content")
    if beside or not isinstance(content, list):
        return beside
    return "".join(thought_of(part) for part in content if _is_thought(part))


def thought_of(told: object, depth: int = 0) -> str:
    """Give the text of a thought: a string, an object that holds one, or a list of those."""
    if isinstance(told, str):
        return told
    if depth >= _DEPTH_MAX:
        return ""
    if isinstance(told, list):
        return "".join(thought_of(part, depth + 1) for part in told)
    if not isinstance(told, dict) or told.get("type", "text") not in ("text", *_PARTS):
        return ""
    parts = (thought_of(told.get(name), depth + 1) for name in _TEXTS)
    return next((part for part in parts if part), "")


def _is_thought(part: object) -> bool:
    return isinstance(part, dict) and part.get("type") in _PARTS
