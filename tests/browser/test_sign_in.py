"""The page and its token: out of the address at once, and another one when it is refused."""

import pytest
from playwright.async_api import BrowserContext, expect

from schemas.close_codes import CloseCode
from tests.browser.fake_gateway import FakeGateway
from tests.browser.steps import answer, ask, expect_connection
from tests.unit.gateway.identity.minted import owner

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


def token(number: int) -> str:
    claims = {"sub": "alice", "exp": 4_000_000_000, "sessions": ["{sub}-*"], "jti": number}
    return owner("HS256").sign(claims)


async def test_a_token_in_the_address_is_brought_first_and_taken_out_of_it(
    profile: BrowserContext, gateway: FakeGateway
) -> None:
    gateway.asks = True
    page = await profile.new_page()
    await page.goto(f"{gateway.url}#token={token(1)}")
    await expect_connection(page, "live")
    assert gateway.tokens == [token(1)]
    assert "token" not in page.url
    (address,) = gateway.addresses
    assert address.session_id.startswith("alice-")
    await page.click("#new-chat")
    await gateway.until_connected(2)
    assert gateway.addresses[1].session_id.startswith("alice-")
    await page.reload()
    await gateway.until_connected(3)
    assert gateway.tokens == [token(1)] * 3


async def test_who_is_signed_out_signs_in_again_and_goes_on_where_he_was(
    profile: BrowserContext, gateway: FakeGateway
) -> None:
    gateway.asks = True
    page = await profile.new_page()
    await page.goto(f"{gateway.url}#/s/alice-1&token={token(1)}")
    await expect_connection(page, "live")
    message = await ask(page, gateway, "Hello")
    await gateway.start(message)
    await gateway.chunk(message, 1, "one ")
    await gateway.close_all(CloseCode.UNAUTHENTICATED, "expired")
    await expect(page.locator("#banner")).to_contain_text("Sign in again")
    await gateway.chunk(message, 2, "two")
    await gateway.complete(message, 2)
    await page.goto(f"{gateway.url}#token={token(2)}")
    await gateway.until_connected(2)
    await expect(answer(page, message)).to_have_text("one two")
    assert gateway.tokens == [token(1), token(2)]
    assert gateway.addresses[1].session_id == "alice-1"
    assert gateway.addresses[1].cursor is not None
    assert page.url.endswith("#/s/alice-1")


async def test_a_token_for_the_open_socket_goes_out_as_a_frame(
    profile: BrowserContext, gateway: FakeGateway
) -> None:
    page = await profile.new_page()
    await page.goto(f"{gateway.url}#/s/alice-1&token={token(1)}")
    await expect_connection(page, "live")
    await page.goto(f"{gateway.url}#token={token(2)}")
    await expect(page.locator("#toast")).to_be_hidden()
    message = await ask(page, gateway, "Still here")
    assert message.session_id == "alice-1"
    assert len(gateway.addresses) == 1


async def test_who_may_only_read_is_told_so_in_place_of_the_message_box(
    profile: BrowserContext, gateway: FakeGateway
) -> None:
    gateway.asks = True
    claims = {"sub": "alice", "exp": 4_000_000_000, "sessions": ["team"], "verbs": ["read"]}
    page = await profile.new_page()
    await page.goto(f"{gateway.url}#token={owner('HS256').sign(claims)}")
    await expect_connection(page, "live")
    await expect(page.locator("#composer")).to_be_hidden()
    await expect(page.locator("#examples")).to_be_hidden()
    await expect(page.locator("#hint")).to_contain_text("You may read this chat")
    await page.goto(f"{gateway.url}#token={token(2)}")
    await expect(page.locator("#composer")).to_be_visible()
