"""A stack whose links can be cut: all goes over them, and each may break under a chat."""

import asyncio
from collections.abc import Iterator

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from tests.end_to_end.reader import Reader
from tests.end_to_end.test_whole_path import rows_hold, urls
from tests.scripted_model.control import ModelControl
from tests.scripted_model.script import answer_text
from tests.stack import RunningStack, running_stack
from tests.waiting import WITHIN_S, until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

LINKS = {
    *(f"gateway-{server}" for server in ("kafka", "redis", "postgres")),
    *(f"worker-{server}" for server in ("kafka", "redis", "postgres", "model")),
    *(f"persister-{server}" for server in ("kafka", "postgres")),
}
TOKENS = 30


@pytest.fixture(scope="module")
def linked(model: ModelControl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """One of every service, behind a proxy."""
    folder = tmp_path_factory.mktemp("linked")
    with running_stack(folder, OPENAI_BASE_URL=model.url, LINKS="1") as stack:
        yield stack


async def chat(stack: RunningStack, session: str) -> None:
    """One message and its whole answer."""
    async with Reader(urls(stack)[0], session) as reader:
        await reader.ask(f"go [[key={session} tokens={TOKENS}]]", "m0")
        answer = await reader.ended("m0")
        assert (answer.state, answer.text) == ("complete", answer_text(session, 1, TOKENS))


async def test_all_that_services_say_goes_over_links(linked: RunningStack) -> None:
    await chat(linked, "over-links")
    await rows_hold(linked, "over-links", answer_text("over-links", 1, TOKENS))
    assert set(linked.links.names()) == LINKS
    for name in LINKS:
        state = linked.links.state(name)
        assert state["bytes_up"] > 0, name
        assert state["bytes_down"] > 0, name


async def test_a_broker_sends_each_tier_to_its_own_link(linked: RunningStack) -> None:
    """Whoever asks the plain address, as tools do, is not sent over a link."""
    [worker] = linked.links.state("worker-kafka")["addresses"]
    for asked, told in ((worker, worker), (linked.file.kafka, linked.file.kafka)):
        admin = AIOKafkaAdminClient(bootstrap_servers=asked)
        await admin.start()
        try:
            brokers = (await admin.describe_cluster())["brokers"]
            assert [f"{each['host']}:{each['port']}" for each in brokers] == [told]
        finally:
            await admin.close()


@pytest.mark.parametrize("name", sorted(LINKS))
async def test_chat_goes_on_after_a_link_was_cut(linked: RunningStack, name: str) -> None:
    """Nobody on its ends dies of it, or closes a socket; the link may be idle when it is cut."""
    await chat(linked, f"before-{name}")
    processes = services(linked)
    await asyncio.to_thread(linked.links.cut, name)
    await chat(linked, f"after-{name}")
    await rows_hold(linked, f"after-{name}", answer_text(f"after-{name}", 1, TOKENS))
    assert services(linked) == processes, "one of them died of it"


def services(stack: RunningStack) -> dict[str, int]:
    """Every service and its process."""
    return {name: stack.pid(name) for name in ("gateway-1", "worker-1", "persister-1")}


async def test_rows_come_once_although_commit_was_not_answered(linked: RunningStack) -> None:
    """Postgres has committed, the persister does not know: it must not write them twice."""
    links, name = linked.links, "persister-postgres"
    before = links.state(name)["triggered"]
    links.cut_at(name, "COMMIT", forward=True)
    await chat(linked, "unanswered-commit")
    await until(lambda: links.state(name)["triggered"] == before + 1, WITHIN_S, "COMMIT was cut")
    await rows_hold(linked, "unanswered-commit", answer_text("unanswered-commit", 1, TOKENS))


async def test_rows_come_once_although_copy_was_cut_in_the_middle(linked: RunningStack) -> None:
    """Postgres throws the half away; the persister writes the whole again."""
    links, name = linked.links, "persister-postgres"
    before = links.state(name)["triggered"]
    links.cut_after(name, "COPY", 200)
    await chat(linked, "half-a-copy")
    await until(lambda: links.state(name)["triggered"] == before + 1, WITHIN_S, "COPY was cut")
    await rows_hold(linked, "half-a-copy", answer_text("half-a-copy", 1, TOKENS))
