"""The epoch is raised when the log begins anew, and stays when it does not."""

import pytest

from deploy.local.epoch import UnknownEpoch, epoch_of

NOW = 1_800_000_000


def test_new_topics_begin_a_new_epoch() -> None:
    assert epoch_of(kept=None, given=None, made_now=True, ours=True, now_s=NOW) == NOW


def test_a_new_epoch_is_higher_than_the_last_also_within_the_same_second() -> None:
    assert epoch_of(kept=NOW, given=None, made_now=True, ours=True, now_s=NOW) == NOW + 1


def test_the_kept_epoch_stays_while_the_topics_do() -> None:
    assert epoch_of(kept=5, given=None, made_now=False, ours=True, now_s=NOW) == 5


def test_a_start_cut_off_before_it_was_kept_has_empty_topics() -> None:
    assert epoch_of(kept=None, given=None, made_now=False, ours=True, now_s=NOW) == NOW


def test_topics_of_others_need_their_epoch() -> None:
    with pytest.raises(UnknownEpoch, match="TALKLOG_EPOCH"):
        epoch_of(kept=None, given=None, made_now=False, ours=False, now_s=NOW)
    assert epoch_of(kept=None, given=7, made_now=False, ours=False, now_s=NOW) == 7


def test_an_older_epoch_than_the_logs_is_refused() -> None:
    with pytest.raises(UnknownEpoch, match="older"):
        epoch_of(kept=9, given=8, made_now=False, ours=True, now_s=NOW)
