"""Text that somebody downstream can't take, made such as everybody can. Pure.

A lone surrogate is no text in UTF-8, and Postgres stores no NUL. What is lost by the replacement is
a character that no one could show; what is lost with the event is the end of an answer.
"""

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def without_surrogates(value: object) -> object:
    """Replace lone surrogates in every text of a decoded JSON value; two that belong together join.

    Raises:
        RecursionError: it is nested deeper than Python goes.
    """
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [without_surrogates(each) for each in value]
    if isinstance(value, dict):
        return {without_surrogates(name): without_surrogates(each) for name, each in value.items()}
    return value


def without_nul(text: str) -> str:
    """Replace NUL."""
    return text.replace("\0", _REPLACEMENT)
