"""`talklog make-topics` and `talklog migrate` as jobs: at each rollout, and told why not."""

import subprocess
import sys

import pytest

from tests.service import environment_for
from tests.stack import RunningStack
from tests.waiting import WITHIN_S

pytestmark = pytest.mark.stack


def job(servers: RunningStack, *arguments: str, **variables: str) -> tuple[int, str]:
    """Run it in the environment of a service; give the exit code and all that it says."""
    done = subprocess.run(
        [sys.executable, "-m", "deploy", *arguments],
        env=environment_for(servers) | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=WITHIN_S,
    )
    return done.returncode, done.stdout


def test_what_is_there_already_is_left(servers: RunningStack) -> None:
    assert job(servers, "make-topics") == (0, "topics: there already, 8 shards\n")
    assert job(servers, "migrate") == (0, "migrate: nothing to do\n")


def test_topics_that_are_not_as_they_must_be_fail_the_job(servers: RunningStack) -> None:
    code, said = job(servers, "make-topics", "--wait", "0", TALKLOG_SHARDS="9")
    assert code == 1
    assert said.startswith("topics: topic user_messages has 8 partitions, expected 9")


def test_a_server_that_does_not_answer_fails_the_job_in_its_time(servers: RunningStack) -> None:
    nowhere = "postgresql://talklog@127.0.0.1:1/talklog"
    code, said = job(servers, "migrate", "--wait", "0", TALKLOG_POSTGRES_DSN=nowhere)
    assert code == 1
    assert said.startswith("migrate: PostgreSQL: ")
    code, said = job(servers, "make-topics", TALKLOG_EPOCH="")
    assert code == 2
    assert "TALKLOG_EPOCH" in said
