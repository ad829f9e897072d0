"""Debian's Chromium with a WAV file for a microphone, driven by Playwright, and what its loudspeaker has played."""

import asyncio
import base64
import shutil
import wave
from array import array
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Browser, Page, async_playwright

# Everything that goes to the loudspeaker is kept, too: at the last step, behind all that the page does with it.
_TAP = """
window.heard = [];
const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (to, ...rest) {
  if (to instanceof AudioDestinationNode && !(this instanceof ScriptProcessorNode)) {
    const tap = this.context.createScriptProcessor(4096, 1, 1);
    window.heardRate = this.context.sampleRate;
    tap.onaudioprocess = ({ inputBuffer }) => {
      const samples = inputBuffer.getChannelData(0);
      const pcm = new Int16Array(samples.length);
      for (let index = 0; index < samples.length; index++) pcm[index] = samples[index] * 32767;
      window.heard.push(pcm);
    };
    connect.call(this, tap);
    connect.call(tap, to);
  }
  return connect.call(this, to, ...rest);
};
"""

_READ = """
() => {
  const bytes = new Uint8Array(window.heard.reduce((sum, pcm) => sum + pcm.byteLength, 0));
  let at = 0;
  for (const pcm of window.heard) {
    bytes.set(new Uint8Array(pcm.buffer), at);
    at += pcm.byteLength;
  }
  let text = "";
  for (let from = 0; from < bytes.length; from += 32768) {
    text += String.fromCharCode(...bytes.subarray(from, from + 32768));
  }
  return [window.heardRate || 0, btoa(text)];
}
"""


class Tab:
    """A page and what it complained of."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)

    async def heard(self) -> tuple[int, "array[int]"]:
        """All that the loudspeaker has played so far: rate and samples."""
        rate, text = await self.page.evaluate(_READ)
        samples = array("h")
        samples.frombytes(base64.b64decode(text))
        return round(rate), samples

    async def calls(self, whom: str) -> None:
        """Press the button, and be in a call with this agent."""
        while True:
            await self.page.click("#call:enabled")
            state = "document.querySelector('#state').textContent"
            await self.waits_for(f"{state}.startsWith('In a call with {whom}') || {state} === 'The call is over.'")
            if (await self.state()).startswith("In a call"):
                return
            # On a machine as busy as this one is right now, the gateway may take no calls for a moment.
            assert "limit_loop_lag" in await self.trouble()
            await asyncio.sleep(1)

    async def state(self) -> str:
        """What the page says of the call."""
        return await self.page.inner_text("#state")

    async def lines(self) -> list[tuple[str, str]]:
        """The transcript: who, and what."""
        items = await self.page.query_selector_all("#transcript li")
        return [
            (
                (await item.get_attribute("class") or "").split()[0],
                await (await item.query_selector("span")).inner_text(),
            )  # type: ignore[union-attr]
            for item in items
        ]

    async def trouble(self) -> str:
        """What the page complains of, all of it."""
        return await self.page.inner_text("#trouble")

    async def waits_for(self, script: str, seconds: float = 20.0) -> None:
        """Wait until an expression is true in the page."""
        try:
            async with asyncio.timeout(seconds):
                # Playwright's own way is an eval in the page, which the page's policy forbids.
                while True:
                    if await self.page.evaluate(script):
                        return
                    await asyncio.sleep(0.05)
        except TimeoutError:
            shown = await self.page.inner_text("main")
            raise AssertionError(f"not within {seconds:g} s: {script}\n{shown}\n{self.errors}") from None


def write_microphone(path: Path, rate: int, *pieces: "float | array[int]") -> Path:
    """A WAV for the microphone: sound, and seconds of silence between."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        for piece in pieces:
            file.writeframes(bytes(2 * round(piece * rate)) if isinstance(piece, float) else piece.tobytes())
    return path


@asynccontextmanager
async def chromium(microphone: Path | None, arguments: Sequence[str] = ()) -> AsyncIterator[Browser]:
    """A browser without a window. It hears the file once, from the moment when a page opens the microphone."""
    program = shutil.which("chromium")
    assert program, "chromium is missing: apt-get install chromium"
    files = [] if microphone is None else [f"--use-file-for-fake-audio-capture={microphone}%noloop"]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=program,
            args=[
                "--no-sandbox",
                "--use-fake-device-for-media-stream",
                "--autoplay-policy=no-user-gesture-required",
                "--disable-dev-shm-usage",
                *files,
                *arguments,
            ],
        )
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def tab(browser: Browser, url: str, *, allowed: bool = True) -> AsyncIterator[Tab]:
    """A tab of its own session; `allowed` is what a person would answer when it asks for the microphone."""
    context = await browser.new_context(permissions=["microphone"] if allowed else [])
    try:
        page = await context.new_page()
        await page.add_init_script(_TAP)
        opened = Tab(page)
        await page.goto(url)
        yield opened
    finally:
        await context.close()
