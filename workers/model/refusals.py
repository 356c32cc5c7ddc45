"""Which fault a server's refusal stands for: by its status, its codes and its words. Pure.

Servers agree on little: one says with a status what another says with a code, and a third in words.
"""

import re

from workers.model.faults import FaultKind, ModelFault, fault
from workers.model.told_errors import ToldError

_TOO_LONG_CODES = frozenset(
    {"context_length_exceeded", "exceed_context_size_error", "string_above_max_length",
     "context_window_exceeded", "model_context_window_exceeded"}
)  # fmt: skip
_TOO_LONG_WORDS = re.compile(
    r"maximum context length|context (?:size|window|length)|context_length|contextwindow"
    r"|(?:prompt|input|request|message|conversation)s? (?:is|are|was|were)? ?too (?:long|large)"
    r"|too many (?:input )?tokens|maximum prompt length|prompt exceeds|prompt token count"
    r"|input token count|exceeds? the (?:maximum|max) (?:number of )?(?:input )?tokens"
    r"|`inputs` (?:tokens|must)|range of input length|input length|reduce the length"
    r"|longer than the model|tokens? (?:limit|exceed).{0,40}(?:context|input|prompt)"
)
"""In the words of OpenAI, vLLM, llama.cpp, Anthropic, Gemini, Bedrock, TGI, Qwen, xAI, Groq,
Cohere, Mistral and Ollama."""
_QUOTA_CODES = frozenset(
    {"insufficient_quota", "billing_not_active", "billing_hard_limit_reached", "402",
     "insufficient_balance", "insufficient_credits", "payment_required", "credits_exhausted"}
)  # fmt: skip
_QUOTA_WORDS = re.compile(
    r"insufficient (?:balance|quota|credit|fund)|credit balance|exceeded your current quota"
    r"|(?:no|not enough|out of|run out of|more) credits?|payment required|billing|top up"
    r"|account balance|quota exceeded for this key|arrears"
)
_PASSING = frozenset({408, 409, 425})
_OVERLOADED = re.compile(r"overload|unavailable|try again|capacity|busy|temporar")


def fault_of_status(
    status: int, *, codes: frozenset[str], message: str, retry_after_s: float | None = None
) -> ModelFault:
    """The fault that an HTTP error stands for. `codes`: its `code` and `type`: servers differ."""
    told = f"the model answered {status}: {message}"
    if retry_after_s:
        told += f" (it asks to wait {retry_after_s:.0f} s)"
    codes = frozenset(code.lower() for code in codes)
    words = message.lower()
    no_quota = bool(codes & _QUOTA_CODES) or bool(_QUOTA_WORDS.search(words))
    if status == 402 or (400 <= status < 500 and no_quota):
        return fault(FaultKind.QUOTA, told)
    if status == 429:
        return fault(FaultKind.RATE_LIMITED, told, retry_after_s=retry_after_s)
    if status in _PASSING:
        return fault(FaultKind.PASSING, told, retry_after_s=retry_after_s)
    if 400 <= status < 500:
        too_long = codes & _TOO_LONG_CODES or _TOO_LONG_WORDS.search(words)
        if status in (400, 413, 422) and too_long:
            return fault(FaultKind.CONTEXT_TOO_LONG, told)
        return fault(FaultKind.REJECTED, told, status=status)
    return fault(FaultKind.SERVER_ERROR, told, retry_after_s=retry_after_s, status=status)


def fault_of_told(told: ToldError) -> ModelFault:
    """The fault that an error told in an answer with status 200 stands for, by its meaning."""
    words = told.message.lower()
    if told.codes & _QUOTA_CODES or _QUOTA_WORDS.search(words):
        return fault_of_status(402, codes=told.codes, message=told.message)
    if told.codes & _TOO_LONG_CODES or _TOO_LONG_WORDS.search(words):
        return fault_of_status(400, codes=told.codes, message=told.message)
    if told.status is not None:
        return fault_of_status(told.status, codes=told.codes, message=told.message)
    if "rate_limit" in " ".join(told.codes):
        return fault_of_status(429, codes=told.codes, message=told.message)
    if _OVERLOADED.search(words) or _OVERLOADED.search(" ".join(told.codes)):
        return fault_of_status(503, codes=told.codes, message=told.message)
    return fault(FaultKind.BAD_STREAM, f"the model told: {told.message}")
