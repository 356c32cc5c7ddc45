"""Forms in which OpenAI-compatible servers really answer, as raw bytes over a real socket."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.events import Usage
from tests.model_deltas import deltas_of
from tests.scripted_model.raw import JSON, STREAM, Raw, raw_server
from tests.worker_defaults import model_limits
from workers.history.prompt import ChatMessage
from workers.model.answer_reader import AnswerReader
from workers.model.endpoint import Address
from workers.model.faults import ModelFault
from workers.model.model import Model
from workers.model.stream import Delta, Finished, Reasoning, Text

LIMITS = model_limits(first_token_s=20.0, idle_s=20.0, whole_s=60.0, retries=0)
MESSAGES = [ChatMessage(role="user", content="?")]


def data(value: object) -> bytes:
    return b"data: " + (value if isinstance(value, bytes) else json.dumps(value).encode()) + b"\n\n"


def chunk(content: object = "", finish: object = None, **delta: object) -> bytes:
    told = {"content": content, **delta}
    return data({"choices": [{"index": 0, "delta": told, "finish_reason": finish}]})


ROLE, STOP, DONE = chunk("", role="assistant"), chunk(finish="stop"), data(b"[DONE]")
USAGE = data({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 5}})
END = [STOP, USAGE, DONE]

FORMS: dict[str, list[bytes]] = {
    "OpenAI": [ROLE, chunk("Hel"), chunk("lo"), *END],
    "vLLM": [
        data({"id": "x", "object": "chat.completion.chunk", "choices": [
            {"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": None}]}),
        chunk("Hel", stop_reason=None), chunk("lo"), STOP, USAGE, DONE,
    ],
    "llama.cpp": [
        chunk(None, role="assistant"), chunk("Hel"), chunk("lo"),
        data(b'{"choices":[{"finish_reason":"stop","index":0,"delta":{}}],"timings":'
             b'{"prompt_per_second":Infinity}}'),
        USAGE, DONE,
    ],
    "Ollama": [chunk("Hel", role="assistant"), chunk("lo", role="assistant"),
               chunk("", "stop", role="assistant"), USAGE, DONE],
    "LM Studio": [chunk("Hel", role="assistant"), chunk("lo"), STOP, USAGE, DONE],
    "TGI": [
        data({"object": "chat.completion.chunk", "choices": [
            {"index": 0, "delta": {"role": "assistant", "content": word}, "logprobs": None,
             "finish_reason": end}]})
        for word, end in (("Hel", None), ("lo", "eos_token"))
    ] + [USAGE, DONE],
    "SGLang": [ROLE, chunk("Hel", reasoning_content=None), chunk("lo"), STOP, USAGE, DONE],
    "Azure": [
        data({"choices": [], "prompt_filter_results": [{"prompt_index": 0}]}),
        ROLE, chunk("Hel"), chunk("lo"), *END,
    ],
    "OpenRouter": [
        b": OPENROUTER PROCESSING\n\n", b": OPENROUTER PROCESSING\n\n",
        chunk("Hel", role="assistant"), chunk("lo"),
        data({"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "stop",
                           "native_finish_reason": "STOP"}]}),
        USAGE, DONE,
    ],
    "Mistral": [
        ROLE, chunk([{"type": "thinking", "thinking": [{"type": "text", "text": "hidden"}]}]),
        chunk([{"type": "text", "text": "Hel"}]), chunk("lo"),
        data({"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}],
              "usage": {"prompt_tokens": 7, "completion_tokens": 5}}),
        DONE,
    ],
    "DeepSeek": [ROLE, b": keep-alive\n\n", chunk(None, reasoning_content="hidden"),
                 chunk("Hel"), chunk("lo"), *END],
    "Gemini": [
        data({"choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hel"}}]}),
        data({"choices": [{"index": 0, "delta": {"content": "lo"}, "finish_reason": "stop"}],
              "usage": {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}}),
        DONE,
    ],
    "Anthropic": [
        ROLE, b"event: ping\ndata: {\"type\": \"ping\"}\n\n", chunk("Hel"), chunk("lo"),
        chunk("", "end_turn"), USAGE, DONE,
    ],
    "a finish reason in every chunk": [chunk("Hel", "stop"), chunk("lo", "stop"), USAGE, DONE],
    "a finish reason first": [chunk("", "stop", role="assistant"), chunk("Hel"), chunk("lo"), *END],
    "the word null": [chunk("Hel", "null"), chunk("lo", ""), *END],
    "numbers as words": [
        data({"choices": [{"index": "0", "delta": {"content": "Hel"}}]}), chunk("lo"), STOP,
        data({"usage": {"prompt_tokens": "7", "completion_tokens": 5.0}}), DONE,
    ],
    "events that are no chunks": [
        data(b""), data(b"null"), b"data:\n\n", ROLE, chunk("Hel"), b"event: ping\ndata: ping\n\n",
        b'event: tool.progress\ndata: {"tool": "search"}\n\n', data(b"null"), chunk("lo"), *END,
    ],
    "an empty error beside text": [
        data({"error": "", "choices": [{"delta": {"content": "Hel"}}]}),
        data({"error": False, "choices": [{"delta": {"content": "lo"}}]}), *END,
    ],
    "one line feed each": [part[:-1] for part in (chunk("Hel"), chunk("lo"), *END)],
    "the last event without its blank line": [chunk("Hel"), USAGE, chunk("lo", "stop")[:-1]],
    "the last line without its end": [chunk("Hel"), USAGE, chunk("lo", "stop")[:-2]],
    "CR LF, CR and a byte order mark": [
        b"\xef\xbb\xbf" + chunk("Hel").replace(b"\n", b"\r\n"), chunk("lo").replace(b"\n", b"\r"),
        *END,
    ],
    "a line of half a megabyte": [
        data({"choices": [{"index": 0, "delta": {"content": "Hel"}}], "padding": "x" * 500_000}),
        chunk("lo"), *END,
    ],
}  # fmt: skip


def message(**delta: object) -> bytes:
    return data({"choices": [{"index": 0, "delta": delta}]})


PLAN = "A plan.\nTwo steps."
REASONING: dict[str, list[bytes]] = {
    "DeepSeek": [ROLE, chunk(None, reasoning_content="A plan.\n"),
                 chunk(None, reasoning_content="Two steps."), chunk("Hello"), *END],
    "vLLM, under two names": [
        ROLE, message(reasoning=PLAN, reasoning_content=PLAN), chunk("Hello"), *END],
    "OpenRouter": [
        message(role="assistant", content="", reasoning=PLAN, reasoning_details=[
            {"type": "reasoning.text", "text": PLAN, "format": "x", "index": 0}]),
        message(role="assistant", content="Hello"), *END],
    "OpenRouter, details only": [
        message(role="assistant", content="", reasoning_details=[
            {"type": "reasoning.summary", "summary": PLAN},
            {"type": "reasoning.encrypted", "data": "c2VjcmV0"}]),
        message(role="assistant", content="Hello"), *END],
    "Ollama": [message(role="assistant", content="", reasoning=PLAN),
               message(role="assistant", content="Hello"), *END],
    "llama.cpp": [chunk(None, role="assistant"), message(reasoning_content=PLAN),
                  message(content="Hello"), *END],
    "LM Studio": [message(role="assistant", reasoning_content=PLAN),
                  message(role="assistant", content="Hello"), *END],
    "SGLang": [ROLE, message(reasoning_content=PLAN, content=None),
               message(content="Hello", reasoning_content=None), *END],
    "Gemini": [message(role="assistant", content=f"<thought>{PLAN}"),
               message(content="</thought>Hello"), *END],
    "TGI": [message(role="assistant", content=f"<think>\n{PLAN}"),
            message(role="assistant", content="\n</think>\n\nHello"), *END],
    "Ollama's own name": [message(role="assistant", content="", thinking=PLAN),
                          message(role="assistant", content="Hello"), *END],
    "Mistral": [
        ROLE, chunk([{"type": "thinking", "thinking": [{"type": "text", "text": PLAN}]}]),
        chunk([{"type": "text", "text": "Hel"}]), chunk("lo"), *END],
    "Mistral, both in one part": [
        ROLE, chunk([{"type": "thinking", "thinking": [{"type": "text", "text": PLAN}]},
                     {"type": "text", "text": "Hello"}]), *END],
    "Anthropic": [ROLE, chunk([{"type": "thinking", "thinking": PLAN, "signature": "x"}]),
                  chunk([{"type": "redacted_thinking", "data": "x"}]), chunk("Hello"), *END],
    "parts of type reasoning": [ROLE, chunk([{"type": "reasoning", "text": PLAN}]),
                                chunk("Hello"), *END],
    "tags": [ROLE, chunk("<think>\n"), chunk(PLAN), chunk("</think>\n\n"), chunk("Hello"), *END],
    "tags, cut": [ROLE, *(chunk(letter) for letter in f"\n<think>{PLAN}</think>Hello"), *END],
    "a whole answer": [json.dumps({"choices": [{"index": 0, "finish_reason": "stop", "message": {
        "role": "assistant", "reasoning_content": PLAN, "content": "Hello"}}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 5}}).encode()],
    "a whole answer whose prompt had opened the tag": [json.dumps({"choices": [{
        "index": 0, "finish_reason": "stop", "message": {
            "role": "assistant", "content": PLAN + "\n</think>\n\nHello"}}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 5}}).encode()],
}  # fmt: skip


async def read(raw: Raw, fallback: str | None = None) -> tuple[str, Finished]:
    async with raw_server(lambda _: raw) as server:
        return await ask(server.url, fallback)


async def ask(url: str, fallback: str | None = None) -> tuple[str, Finished]:
    other = None if fallback is None else Address("fallback", fallback, "none")
    model = Model(Address("first", url, "none"), limits=LIMITS, fallback=other)
    text, finished = "", None
    try:
        async with model.stream(MESSAGES, model="m", max_tokens=9) as deltas:
            async for delta in deltas_of(deltas):
                if isinstance(delta, Text):
                    text += delta.content
                elif isinstance(delta, Finished):
                    finished = delta
    finally:
        await model.aclose()
    assert finished is not None
    return text, finished


@pytest.mark.parametrize("form", FORMS)
async def test_a_stream_of_every_form_is_the_same_answer(form: str) -> None:
    text, finished = await read(Raw(FORMS[form]))
    assert (text, finished.finish_reason) == ("Hello", "stop")
    assert finished.usage == Usage(prompt_tokens=7, completion_tokens=5)


@pytest.mark.parametrize(
    "kind",
    ["application/json", "text/plain; charset=utf-8", "Text/Event-Stream", "", "APPLICATION/JSON"],
)
async def test_a_stream_is_known_by_its_bytes_not_by_its_name(kind: str) -> None:
    headers = {"content-type": kind} if kind else {}
    text, finished = await read(Raw(FORMS["OpenAI"], headers=headers))
    assert (text, finished.finish_reason) == ("Hello", "stop")


async def test_a_whole_answer_instead_of_a_stream() -> None:
    whole = {
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"},
                     "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 5},
    }  # fmt: skip
    for body in (json.dumps(whole), json.dumps(whole, indent=2)):
        text, finished = await read(Raw([body.encode()], headers=JSON))
        assert (text, finished.finish_reason) == ("Hello", "stop")
        assert finished.usage == Usage(prompt_tokens=7, completion_tokens=5)


ENDS = {
    **dict.fromkeys(("stop", "eos", "END_TURN", "stop-sequence", "tool_calls"), "stop"),
    **dict.fromkeys(("length", "max_tokens", "MAX_TOKENS", "model_length"), "length"),
    **dict.fromkeys(("content_filter", "SAFETY", "sensitive", "refusal"), "content_filter"),
    **dict.fromkeys(
        ("error", "abort", "insufficient_system_resource", "network_error", "new_word"),
        "incomplete",
    ),
}


@pytest.mark.parametrize("told", ENDS)
async def test_an_end_is_believed_by_its_meaning(told: str) -> None:
    text, finished = await read(Raw([ROLE, chunk("Hello"), chunk(finish=told), USAGE, DONE]))
    assert (text, finished.finish_reason) == ("Hello", ENDS[told])


FAILURE = {"code": 503, "message": "engine overloaded", "type": "server_error"}
ERRORS: dict[str, list[bytes]] = {
    "in the stream": [ROLE, data({"error": FAILURE})],
    "as a string": [ROLE, data({"error": "engine overloaded"})],
    "flat": [ROLE, data({"object": "error", **FAILURE})],
    "by the event's name": [ROLE, b"event: error\n" + data(FAILURE)],
    "by the event's name, in words": [ROLE, b"event: error\ndata: engine overloaded\n\n"],
    "in a line of its own": [b"error: " + json.dumps(FAILURE).encode() + b"\n\n", DONE],
    "bare": [json.dumps({"error": FAILURE}).encode()],
    "bare, as a line": [json.dumps({"error": FAILURE}).encode() + b"\n\n"],
    "bare, after the greeting": [ROLE, json.dumps({"error": FAILURE}).encode() + b"\n"],
    "a string body": [json.dumps("engine overloaded").encode().join([b"data: ", b"\n\n"])],
    "a list": [json.dumps([{"error": FAILURE}]).encode()],
}


@pytest.mark.parametrize("form", ERRORS)
async def test_an_error_of_every_form_is_one_and_the_other_address_answers(form: str) -> None:
    with pytest.raises(ModelFault) as raised:
        await read(Raw(ERRORS[form]))
    assert (raised.value.code, raised.value.retryable) == ("model_unavailable", True)
    assert "engine overloaded" in raised.value.message
    async with raw_server(lambda _: Raw(FORMS["OpenAI"])) as second:
        text, _ = await read(Raw(ERRORS[form]), second.url)
    assert text == "Hello"


@pytest.mark.parametrize("form", ["in the stream", "flat", "by the event's name", "as a string"])
async def test_an_error_after_text_keeps_the_text(form: str) -> None:
    got = ""
    async with raw_server(lambda _: Raw([ROLE, chunk("Hel"), *ERRORS[form][1:]])) as server:
        model = Model(Address("first", server.url, "none"), limits=LIMITS)
        failed: ModelFault | None = None
        try:
            async with model.stream(MESSAGES, model="m", max_tokens=9) as deltas:
                async for delta in deltas_of(deltas):
                    got += delta.content if isinstance(delta, Text) else ""
        except ModelFault as raised:
            failed = raised
        await model.aclose()
    assert failed is not None
    assert got == "Hel"


TOO_LONG: dict[str, tuple[int, Any]] = {
    "OpenAI": (400, {"error": {"message": "This model's maximum context length is 8192 tokens.",
                               "code": "context_length_exceeded"}}),
    "Anthropic": (400, {"type": "error", "error": {
        "type": "invalid_request_error", "message": "prompt is too long: 207889 tokens > 200000"}}),
    "Gemini": (400, {"error": {"code": 400, "status": "INVALID_ARGUMENT", "message":
        "The input token count (314175) exceeds the maximum number of tokens allowed (131072)."}}),
    "Bedrock": (400, {"error": {"message": "Input is too long for requested model."}}),
    "TGI": (422, {"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be "
                           "<= 4096. Given: 4000 `inputs` tokens", "error_type": "validation"}),
    "Qwen": (400, {"error": {"message": "Range of input length should be [1, 30720]"}}),
    "xAI": (400, {"code": "invalid argument", "error":
        "This model's maximum prompt length is 131072 but the request contains 140000 tokens."}),
    "llama.cpp": (400, {"error": {"code": 400, "type": "exceed_context_size_error", "message":
        "the request exceeds the available context size, try increasing it"}}),
    "Cohere": (400, {"message": "too many tokens: total number of tokens cannot exceed 4096"}),
    "Groq": (413, {"error": {"message": "Request too large: reduce the length of messages"}}),
    "Mistral": (400, {"object": "error", "message": "Prompt contains 40000 tokens, too large for "
                                                    "model with 32768 maximum context length"}),
    "Ollama": (400, {"error": {"message": "the input length exceeds the context length"}}),
    "vLLM": (400, {"object": "error", "type": "BadRequestError", "param": None, "code": 400,
        "message": "This model's maximum context length is 16384 tokens. However, you requested "
                   "19591 tokens (9591 in the messages, 10000 in the completion)."}),
    "SGLang": (400, {"object": "error", "type": "BadRequestError", "param": None, "code": 400,
        "message": "The input (61709 tokens) is longer than the model's context length (40960 "
                   "tokens)."}),
    "LM Studio": (400, {"error": "The number of tokens to keep from the initial prompt is greater "
        "than the context length (n_keep: 13055>= n_ctx: 4096). Try to load the model with a "
        "larger context length, or provide a shorter input."}),
    "Azure": (400, {"error": {"message": "This model's maximum context length is 128000 tokens.",
        "type": "invalid_request_error", "param": "messages", "code": "context_length_exceeded"}}),
    "OpenRouter": (400, {"error": {"code": 400, "message": "This endpoint's maximum context length "
        "is 163840 tokens. However, you requested about 243013 tokens (238917 of text input)."}}),
    "DeepSeek": (400, {"error": {"type": "invalid_request_error", "param": None,
        "code": "invalid_request_error", "message": "This model's maximum context length is 65536 "
        "tokens. However, you requested 66343 tokens."}}),
}  # fmt: skip


@pytest.mark.parametrize("server", TOO_LONG)
async def test_too_long_in_the_words_of(server: str) -> None:
    status, body = TOO_LONG[server]
    with pytest.raises(ModelFault) as raised:
        await read(Raw([json.dumps(body).encode()], status, JSON))
    assert raised.value.code == "context_too_long"


NO_QUOTA: list[tuple[int, Any]] = [
    (402, {"error": {"message": "Insufficient Balance", "code": "invalid_request_error"}}),
    (400, {"error": {"message": "Your credit balance is too low to use this API."}}),
    (429, {"error": {"message": "You exceeded your current quota.", "code": "insufficient_quota"}}),
    (403, {"error": {"message": "The account is out of credits."}}),
    (200, {"error": {"message": "quota exceeded for this key", "code": "insufficient_quota"}}),
]


@pytest.mark.parametrize(("status", "body"), NO_QUOTA)
async def test_where_nothing_is_left_to_spend_the_other_address_answers(
    status: int, body: Any
) -> None:
    spent = Raw([json.dumps(body).encode()], status, JSON)
    async with raw_server(lambda _: Raw(FORMS["OpenAI"])) as second:
        assert (await read(spent, second.url))[0] == "Hello"
    with pytest.raises(ModelFault) as raised:
        await read(spent)
    assert raised.value.code == "model_rejected"


async def test_parameters_are_learned_from_the_first_refusal() -> None:
    def picky(body: dict[str, Any]) -> Raw:
        if "max_tokens" in body:
            words = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
            return Raw([json.dumps({"error": {"message": words}}).encode()], 400, JSON)
        if "stream_options" in body:
            detail = [{"type": "extra_forbidden", "loc": ["body", "stream_options"]}]
            refusal = {"object": "error", "message": {"detail": detail}}
            return Raw([json.dumps(refusal).encode()], 422, JSON)
        return Raw(FORMS["OpenAI"])

    async with raw_server(picky) as server:
        model = Model(Address("first", server.url, "none"), limits=LIMITS)
        for calls in (3, 4):
            async with model.stream(MESSAGES, model="m", max_tokens=9) as deltas:
                assert [d.content async for d in deltas_of(deltas) if isinstance(d, Text)]
            assert len(server.asked) == calls
        await model.aclose()
    assert server.asked[-1]["max_completion_tokens"] == 9
    assert "stream_options" not in server.asked[-1]


async def test_a_page_of_a_proxy_is_no_answer() -> None:
    page = Raw([b"<html>Welcome</html>"], headers={"content-type": "text/html"})
    plain = Raw([b"Welcome to nginx!\n"], headers={"content-type": "text/plain"})
    for raw in (page, plain, Raw([b"\n"], headers=dict(STREAM))):
        with pytest.raises(ModelFault) as raised:
            await read(raw)
        assert raised.value.code == "model_unavailable"


@given(form=st.sampled_from(sorted(FORMS)), cuts=st.lists(st.integers(0, 2000), max_size=12))
@settings(deadline=None, suppress_health_check=list(HealthCheck))
def test_any_cut_of_any_form_gives_the_same_answer(form: str, cuts: list[int]) -> None:
    stream = b"".join(FORMS[form])
    edges = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    reader, text = AnswerReader(), ""
    for start, end in itertools.pairwise(edges):
        if not reader.done:
            text += reader.receive(stream[start:end])
    if not reader.done:
        text += reader.end()
    assert (text, reader.finish_reason, reader.broken) == ("Hello", "stop", None)


async def deltas_over_a_socket(raw: Raw) -> list[Delta]:
    async with raw_server(lambda _: raw) as server:
        model = Model(Address("first", server.url, "none"), limits=LIMITS)
        async with model.stream(MESSAGES, model="m", max_tokens=9) as deltas:
            told = [delta async for delta in deltas_of(deltas)]
        await model.aclose()
    return told


@pytest.mark.parametrize("form", REASONING)
async def test_reasoning_of_every_form_comes_before_the_text_over_a_real_socket(form: str) -> None:
    headers = JSON if form.startswith("a whole answer") else dict(STREAM)
    *told, ended = await deltas_over_a_socket(Raw(REASONING[form], headers=headers))
    kinds = [isinstance(delta, Reasoning) for delta in told]
    assert kinds == sorted(kinds, reverse=True)
    said = ["".join(d.content for d in told if isinstance(d, kind)) for kind in (Reasoning, Text)]
    assert (said[0].rstrip(), said[1]) == (PLAN, "Hello")
    assert isinstance(ended, Finished)
    assert (ended.finish_reason, ended.tool_calls) == ("stop", 0)


async def test_an_answer_of_reasoning_only_is_one() -> None:
    thought = chunk(None, reasoning_content="I know it: 42.")
    told = await deltas_over_a_socket(Raw([ROLE, thought, *END]))
    usage = Usage(prompt_tokens=7, completion_tokens=5)
    assert told == [Reasoning("I know it: 42."), Finished("stop", usage)]


async def test_tools_that_were_called_for_are_counted() -> None:
    call = {"index": 0, "id": "t1", "type": "function", "function": {"name": "look_up"}}
    stream = [ROLE, chunk(None, tool_calls=[call]), chunk(finish="tool_calls"), USAGE, DONE]
    [ended] = await deltas_over_a_socket(Raw(stream))
    assert isinstance(ended, Finished)
    assert (ended.finish_reason, ended.tool_calls) == ("stop", 1)


@given(form=st.sampled_from(sorted(REASONING)), cuts=st.lists(st.integers(0, 2000), max_size=12))
@settings(deadline=None, suppress_health_check=list(HealthCheck))
def test_reasoning_of_every_form_stands_beside_the_text_wherever_it_is_cut(
    form: str, cuts: list[int]
) -> None:
    stream = b"".join(REASONING[form])
    edges = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    reader, pieces = AnswerReader(), []
    for start, end in itertools.pairwise(edges):
        if not reader.done:
            reader.receive(stream[start:end])
            pieces += reader.pieces
    if not reader.done:
        reader.end()
        pieces += reader.pieces
    thought = "".join(piece.content for piece in pieces if piece.is_reasoning)
    assert thought.rstrip() == PLAN
    assert "".join(piece.content for piece in pieces if not piece.is_reasoning) == "Hello"
    assert [piece.is_reasoning for piece in pieces] == sorted(
        (piece.is_reasoning for piece in pieces), reverse=True
    )


def test_reasoning_tokens_are_part_of_the_usage() -> None:
    for told in (
        {"completion_tokens_details": {"reasoning_tokens": 4}},
        {"output_tokens_details": {"reasoning_tokens": "4"}},
        {"reasoning_tokens": 4},
    ):
        reader = AnswerReader()
        usage = {"prompt_tokens": 7, "completion_tokens": 5, **told}
        reader.receive(data({"choices": [], "usage": usage}))
        assert reader.usage == Usage(prompt_tokens=7, completion_tokens=5, reasoning_tokens=4)
    reader = AnswerReader()
    none = {"completion_tokens_details": {"reasoning_tokens": 0}}
    reader.receive(
        data({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 5, **none}})
    )
    assert reader.usage == Usage(prompt_tokens=7, completion_tokens=5)
