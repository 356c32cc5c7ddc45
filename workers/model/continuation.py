"""How a model is asked to go on with the text of an answer that it has begun. Pure.

The text so far stands at the end of the prompt as what the assistant said, and each kind of server
wants to be told in another way that this is the beginning of its answer, not a finished turn:

* vLLM and SGLang take `continue_final_message` and `add_generation_prompt` beside the messages;
* Mistral and DeepSeek take `prefix` in the message;
* llama.cpp, Ollama, OpenRouter and Anthropic's compatible end take the message as it is.

Who refuses one form (400, 422) is asked in the next, and what an address has refused it is not
asked again. OpenAI and Azure answer such a prompt with another turn, and never go on.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any

from workers.model.faults import FaultKind, ModelFault

_REFUSED = frozenset({400, 422})
_BYTES_A_TOKEN = 6


class CannotContinue(Exception):
    """The model can't go on with the text: only a new attempt, which begins anew, can answer."""


class Form(StrEnum):
    """How the text so far is given to a model."""

    VLLM = "vllm"
    PREFIX = "prefix"
    PLAIN = "plain"


_ALL = (Form.VLLM, Form.PREFIX, Form.PLAIN)
_FORMS: tuple[tuple[str, tuple[Form, ...]], ...] = (
    ("api.openai.com", ()),
    ("openai.azure.com", ()),
    ("services.ai.azure.com", ()),
    ("cognitiveservices.azure.com", ()),
    ("mistral.ai", (Form.PREFIX,)),
    ("deepseek.com", (Form.PREFIX,)),
    ("openrouter.ai", (Form.PLAIN,)),
    ("anthropic.com", (Form.PLAIN,)),
)
"""By the end of the host's name; any other host is asked in all forms, in their order."""


def forms_of(host: str, path: str) -> tuple[Form, ...]:
    """Give the forms that a server of this name may take, the likeliest first."""
    if host == "api.deepseek.com" and not path.startswith("/beta"):
        return ()  # only under that path it goes on
    for name, forms in _FORMS:
        if host == name or host.endswith("." + name):
            return forms
    return _ALL


class Continuation:
    """What is known of one address: in which form it goes on, if it does."""

    def __init__(self, forms: Iterable[Form]) -> None:
        self._forms = list(forms)

    @property
    def form(self) -> Form | None:
        """The form in which it is asked next; None: it can't go on."""
        return self._forms[0] if self._forms else None

    def refused(self, form: Form, refusal: ModelFault) -> bool:
        """Say whether this refuses the form, and ask in it no more then."""
        if refusal.kind is not FaultKind.REJECTED or refusal.status not in _REFUSED:
            return False
        if form in self._forms:
            self._forms.remove(form)
        return True

    def failed(self) -> None:
        """Note that it took the text and began from the start: it can't go on."""
        self._forms.clear()


def continued(body: dict[str, Any], form: Form, given: str) -> dict[str, Any]:
    """Give the body that asks a model to go on with `given`."""
    said: dict[str, Any] = {"role": "assistant", "content": given}
    if form is Form.PREFIX:
        said["prefix"] = True
    asked: Sequence[Any] = [*body["messages"], said]
    body = body | {"messages": asked}
    if form is Form.VLLM:
        body |= {"continue_final_message": True, "add_generation_prompt": False}
    return body


def tokens_left(max_tokens: int, so_far: str) -> int:
    """Give how many tokens an answer may still have.

    What the text so far took is estimated low, so that no answer ends early for an estimate.
    """
    return max_tokens - len(so_far.encode()) // _BYTES_A_TOKEN
