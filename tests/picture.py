"""`make picture`: the page for the README, with a real model's answers, on a real stack."""

import asyncio
import tempfile
from pathlib import Path

from playwright.async_api import async_playwright

from tests.chromium import executable
from tests.stack import running_stack

PICTURE = Path(__file__).parents[1] / "docs" / "page.png"
PROMPTS = (
    "Hello! Who are you?",
    "What is the capital of France?",
)
ANSWER_LIMIT_MS = 120_000


async def take(address: str, path: Path) -> None:
    """Ask the prompts one after another and take the picture."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=executable(), args=["--no-sandbox"]
        )
        page = await browser.new_page(viewport={"width": 1200, "height": 800})
        await page.goto(address)
        await page.wait_for_selector("#badge[data-state=live]")
        for number, prompt in enumerate(PROMPTS):
            await page.fill("#message", prompt)
            await page.press("#message", "Enter")
            answer = page.locator(".answer[aria-busy=false]").nth(number)
            await answer.wait_for(timeout=ANSWER_LIMIT_MS)
        await page.screenshot(path=path)
        await browser.close()


def main() -> None:
    """Start a stack with the small local model, and take the picture."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running_stack(Path(folder) / "state", TALKLOG_MAX_TOKENS="120") as stack,
    ):
        asyncio.run(take(stack.file.gateways[0].url, PICTURE))
    print(PICTURE)


if __name__ == "__main__":
    main()
