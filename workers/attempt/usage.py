"""What an answer has cost, over all attempts of which its text is made. Pure."""

from collections.abc import Sequence

from schemas.events import Usage
from workers.history.prompt import ChatMessage, estimate_usage, tokens_of


def usage_of(
    told: Usage | None, prompt: Sequence[ChatMessage], answer: str, repeated_bytes: Sequence[int]
) -> Usage:
    """Give the sum; `told` is what the model has counted in this attempt, None if it did not.

    `repeated_bytes` has the size of the text each time that it was gone on with: with the prompt
    it was asked for again.
    """
    repeated = [tokens_of(size) for size in repeated_bytes]
    if not repeated:
        return told or estimate_usage(prompt, answer)
    once = told or estimate_usage(prompt, answer)
    first, written = once.prompt_tokens, once.completion_tokens
    if told is not None:
        # The model has counted the text so far as a part of the prompt.
        first, written = max(0, first - repeated[-1]), written + repeated[-1]
    again = sum(first + text for text in repeated)
    return Usage(
        prompt_tokens=first + again,
        completion_tokens=written,
        estimated=True,
        repeated_prompt_tokens=again,
        reasoning_tokens=once.reasoning_tokens,
    )
