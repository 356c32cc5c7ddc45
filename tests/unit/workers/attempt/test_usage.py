"""What an answer has cost, over all attempts of which its text is made."""

from schemas.events import Usage
from workers.attempt.usage import usage_of
from workers.history.prompt import ChatMessage, estimate_usage

PROMPT = [ChatMessage(role="user", content="x" * 36)]  # about 13 tokens


def test_of_one_attempt_it_is_what_the_model_told_or_an_estimate() -> None:
    told = Usage(prompt_tokens=5, completion_tokens=2)
    assert usage_of(told, PROMPT, "answer", ()) is told
    assert usage_of(None, PROMPT, "answer", ()) == estimate_usage(PROMPT, "answer")


def test_each_time_it_went_on_the_prompt_and_the_text_so_far_were_asked_for_again() -> None:
    """First 10 tokens were written, then 10 more, then 5; the model has counted the last call."""
    told = Usage(prompt_tokens=13 + 20, completion_tokens=5)
    assert usage_of(told, PROMPT, "x" * 100, (40, 80)) == Usage(
        prompt_tokens=13 + 23 + 33,
        completion_tokens=25,
        estimated=True,
        repeated_prompt_tokens=23 + 33,
    )


def test_what_the_model_does_not_tell_is_estimated() -> None:
    assert usage_of(None, PROMPT, "x" * 100, (40,)) == Usage(
        prompt_tokens=13 + 23, completion_tokens=25, estimated=True, repeated_prompt_tokens=23
    )
