"""How long one who asks too much has to wait, on whatever socket."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.socket import frame_bucket
from gateway.socket.frame_bucket import BURST, BYTES_A_TOKEN, PER_SECOND, FrameBucket, FrameBuckets


def after(frames: int, size_bytes: int = 0, extra: float = 0.0) -> FrameBucket:
    bucket = FrameBucket(100.0, PER_SECOND)
    for _ in range(frames):
        bucket.take(size_bytes, 100.0, extra)
    return bucket


def test_a_burst_waits_for_nothing() -> None:
    assert after(int(BURST)).wait_s(100.0) == 0.0


def test_what_comes_after_it_has_its_pace() -> None:
    bucket = after(int(BURST) + 50)
    assert abs(bucket.wait_s(100.0) - 50 / PER_SECOND) < 1e-9
    assert bucket.wait_s(100.0 + 50 / PER_SECOND) < 1e-9


def test_large_frames_and_stops_cost_more() -> None:
    assert after(100, size_bytes=3 * BYTES_A_TOKEN).wait_s(100.0) > 0
    assert after(100, extra=5.0).wait_s(100.0) > 0
    assert after(100).wait_s(100.0) == 0.0


@given(st.lists(st.tuples(st.integers(0, 200_000), st.floats(0.0, 2.0)), max_size=300))
def test_over_any_time_no_more_is_taken_than_a_burst_and_the_pace(
    frames: list[tuple[int, float]],
) -> None:
    bucket, now_s, taken = FrameBucket(0.0, PER_SECOND), 0.0, 0.0
    for size_bytes, pause_s in frames:
        now_s += pause_s + bucket.wait_s(now_s + pause_s)
        taken_before = taken
        taken += 1 + size_bytes / BYTES_A_TOKEN
        bucket.take(size_bytes, now_s)
        assert taken_before <= BURST + PER_SECOND * now_s + 1e-6


def test_a_flood_that_comes_anew_has_no_new_burst() -> None:
    buckets = FrameBuckets(PER_SECOND)
    for _ in range(int(BURST) + 50):
        buckets.of("ann", 100.0).take(0, 100.0)
    assert buckets.of("ann", 100.0).wait_s(100.0) > 0
    assert not buckets.of("bob", 100.0).wait_s(100.0)


def test_who_has_no_name_has_a_bucket_for_each_socket() -> None:
    buckets = FrameBuckets(PER_SECOND)
    assert buckets.of(None, 100.0) is not buckets.of(None, 100.0)


def test_who_came_least_recently_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_bucket, "REMEMBERED_MAX", 2)
    buckets = FrameBuckets(PER_SECOND)
    ann, bob = buckets.of("ann", 0.0), buckets.of("bob", 0.0)
    assert buckets.of("ann", 0.0) is ann
    buckets.of("eve", 0.0)
    assert buckets.of("ann", 0.0) is ann
    assert buckets.of("bob", 0.0) is not bob
