"""What was added leaves, in order, once, never two at a time and never too much."""

from hypothesis import given
from hypothesis import strategies as st

from workers.attempt.pacing import Cut, Pacing

EVERY_S = 0.015


def taken(pacing: Pacing, now_s: float) -> str | None:
    cut = pacing.take(now_s)
    assert cut is None or not cut.is_reasoning
    return None if cut is None else cut.content


def test_reasoning_and_text_leave_in_the_order_in_which_they_came() -> None:
    pacing = Pacing(0.0, chunk_every_s=EVERY_S)
    for content, is_reasoning in (("a", True), ("b", True), ("c", False), ("d", True)):
        pacing.add(content, is_reasoning=is_reasoning)
    pacing.end()
    got = []
    while (cut := pacing.take(0.0)) is not None:
        got.append(cut)
        pacing.acknowledged()
    assert got == [Cut("ab", True), Cut("c", False), Cut("d", True)]
    assert pacing.empty


def test_the_first_text_leaves_at_once() -> None:
    pacing = Pacing(100.0, chunk_every_s=EVERY_S)
    assert pacing.due_at() is None
    pacing.add("a")
    assert taken(pacing, 100.0) == "a"


def test_a_chunk_waits_for_the_acknowledgement_of_the_one_before() -> None:
    pacing = Pacing(0.0, chunk_every_s=EVERY_S)
    pacing.add("a")
    taken(pacing, 0.0)
    pacing.add("b")
    assert taken(pacing, 5.0) is None
    assert pacing.due_at() is None
    pacing.acknowledged()
    assert taken(pacing, 5.0) == "b"


def test_a_chunk_waits_for_its_time_and_carries_all_that_came() -> None:
    pacing = Pacing(0.0, chunk_every_s=EVERY_S)
    pacing.add("a")
    taken(pacing, 0.0)
    pacing.acknowledged()
    pacing.add("b")
    assert taken(pacing, 0.014) is None
    assert pacing.due_at() == EVERY_S
    pacing.add("c")
    assert taken(pacing, EVERY_S) == "bc"


def test_a_slow_model_loses_no_time() -> None:
    pacing = Pacing(0.0, chunk_every_s=EVERY_S)
    for index in range(50):
        now = index * 0.02
        pacing.add("a")
        assert taken(pacing, now) == "a"
        pacing.acknowledged()


def test_at_the_end_the_rest_leaves_without_waiting_for_company() -> None:
    pacing = Pacing(0.0, chunk_every_s=EVERY_S)
    pacing.add("a")
    taken(pacing, 0.0)
    pacing.add("b")
    pacing.end()
    assert taken(pacing, 0.001) is None
    pacing.acknowledged()
    assert taken(pacing, 0.001) == "b"
    assert not pacing.empty
    pacing.acknowledged()
    assert pacing.empty


def test_full_at_the_bound_until_a_chunk_has_left() -> None:
    pacing = Pacing(0.0, chunk_every_s=EVERY_S, waiting_max_bytes=4)
    pacing.add("aé")
    assert not pacing.full
    pacing.add("b")
    assert pacing.full
    taken(pacing, 0.0)
    assert not pacing.full


def test_a_chunk_is_never_cut_inside_a_character() -> None:
    pacing = Pacing(0.0, chunk_every_s=EVERY_S, chunk_max_bytes=5)
    pacing.add("ab😀é")
    pacing.end()
    got = []
    while not pacing.empty:
        got.append(taken(pacing, 0.0))
        pacing.acknowledged()
    assert got == ["ab", "😀", "é"]


def test_a_sign_of_life_after_silence() -> None:
    pacing = Pacing(0.0, chunk_every_s=EVERY_S, alive_after_s=1.5)
    assert pacing.alive_at() == 1.5
    pacing.alive_sent(1.5)
    assert pacing.alive_at() == 3.0
    pacing.add("a")
    taken(pacing, 2.0)
    assert pacing.alive_at() == 3.5


def test_what_was_dropped_never_leaves() -> None:
    pacing = Pacing(0.0, chunk_every_s=EVERY_S)
    pacing.add("a")
    pacing.drop()
    assert pacing.empty
    assert taken(pacing, 9.0) is None


STEPS = st.lists(
    st.one_of(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=30),  # the model says
        st.just(True),  # the log acknowledges
        st.floats(0.0, 0.03),  # time passes
    ),
    max_size=60,
)


@given(steps=STEPS, chunk_max=st.integers(4, 40), waiting_max=st.integers(1, 60))
def test_whatever_happens(
    steps: list[str | bool | float], chunk_max: int, waiting_max: int
) -> None:
    now, left_at = 0.0, None
    pacing = Pacing(
        now, chunk_every_s=EVERY_S, chunk_max_bytes=chunk_max, waiting_max_bytes=waiting_max
    )
    said, chunks, longest = "", [], 0
    for step in steps:
        if isinstance(step, str):
            if not pacing.full:  # as whoever reads the model does
                pacing.add(step)
                said += step
                longest = max(longest, len(step.encode()))
        elif isinstance(step, bool):
            pacing.acknowledged()
        else:
            now += step
        was_in_flight = pacing.in_flight
        chunk = taken(pacing, now)
        if chunk is not None:
            assert chunk
            assert not was_in_flight
            assert left_at is None or now >= left_at + EVERY_S
            chunks.append(chunk)
            left_at = now
        waits = len(said.encode()) - sum(len(each.encode()) for each in chunks)
        assert waits < waiting_max + longest + 1
        # Nothing that may leave stays behind.
        assert taken(pacing, now) is None
    pacing.end()
    pacing.acknowledged()
    while (chunk := taken(pacing, now)) is not None:
        chunks.append(chunk)
        pacing.acknowledged()
    assert pacing.empty
    assert "".join(chunks) == said
    assert all(len(each.encode()) <= chunk_max for each in chunks)
