"""What is measured: loads that differ in one thing each."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scenario:
    """So many sessions at once, each with `turns` answers of `rate` tokens a second (0: all)."""

    what: str
    sessions: int
    rate: float
    turns: int = 1
    tokens: int = 2000
    """Tokens of an answer where no rate says it."""

    def tokens_in(self, seconds: float) -> int:
        """Give the tokens of one answer, if all turns shall take so long."""
        return max(1, int(seconds / self.turns * self.rate)) if self.rate else self.tokens


SCENARIOS = {
    "A": Scenario("50 answers of 50 tokens a second", 50, 50.0),
    "B": Scenario("100 answers of 50 tokens a second", 100, 50.0),
    "C": Scenario("50 x 4 answers of 2,000 tokens as fast as it goes", 50, 0.0, turns=4),
    "rest": Scenario("one answer of 20 tokens a second, nothing else", 1, 20.0, turns=10),
    "short": Scenario(
        "20 x 40 answers of one token, 20 turns before each on average", 20, 0.0, turns=40, tokens=1
    ),
}
