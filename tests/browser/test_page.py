"""The page at `/`, and a plain page without any library, in a real Chromium against a real `tricast serve`."""

from __future__ import annotations

import asyncio
import os
import random
import re
import shutil
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from tests.browser.serving import Relay, Server, unused_port

from tricast_server import setup

if not os.environ.get("CI"):
    pytest.importorskip("playwright.async_api", reason="the Python package playwright is missing: make setup")

from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright, expect

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("browser")]

WAYS = ("ws", "sse", "poll")
each_way = pytest.mark.parametrize("way", WAYS)
PLAIN = Path(__file__).with_name("plain.html")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 20_000
"""Milliseconds that the page is given for what should take a fraction of them."""
NETWORK_NOISE = re.compile(
    r"net::ERR_|blocked by CORS policy|WebSocket connection to '.*' failed|the server responded with a status of 4"
)
"""What the browser itself says of a server that is away or refuses; a page cannot keep it from that."""


class Demo:
    """The page, driven as a user would. `complaints` is what its console and its scripts reported."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("console", self._listen)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _listen(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    async def choose(self, way: str) -> None:
        """Switches too, where the page is connected."""
        await self.page.check(f"input[value={way}]")

    async def connect(self, way: str, topics: str) -> None:
        await self.choose(way)
        await self.page.fill("#topics", topics)
        await self.toggle()
        await self.is_open()

    async def is_open(self) -> None:
        await self.is_in_state("open")

    async def is_in_state(self, state: str) -> None:
        await expect(self.page.locator("body")).to_have_attribute("data-state", state)

    async def toggle(self) -> None:
        await self.page.click("#toggle")

    async def send(self, text: str) -> None:
        await self.page.fill("#text", text)
        await self.page.press("#text", "Enter")

    async def has(self, **counts: int) -> None:
        """Waits for the counters: received, duplicates, gaps."""
        for name, count in counts.items():
            await expect(self.page.locator(f"#{name}")).to_have_text(str(count))

    async def happened(self, text: str | re.Pattern[str]) -> None:
        await expect(self.page.locator("#past li").filter(has_text=text).first).to_be_visible()

    async def data(self) -> list[str]:
        return await self.page.locator("#messages .data").all_text_contents()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    executable = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if executable is None:
        reason = "there is no Chromium on the PATH: make tools"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    expect.set_options(timeout=PATIENCE)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable, args=BROWSER_ARGS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """One with nothing special, for the tests that leave it as it is and have a topic of their own."""
    server = Server(tmp_path_factory.mktemp("server"))
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def topic() -> str:
    return f"t{random.getrandbits(60):x}"


Serve = Callable[..., Awaitable[Server]]
Open = Callable[..., Awaitable[Demo]]


@pytest_asyncio.fixture(loop_scope="module")
async def serve(tmp_path: Path) -> AsyncIterator[Serve]:
    """Starts a server with these options, or to be restarted."""
    servers = []

    async def start(*options: str) -> Server:
        servers.append(Server(tmp_path, *options))
        await servers[-1].start()
        return servers[-1]

    yield start
    for server in servers:
        await server.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def show(browser: Browser) -> AsyncIterator[Open]:
    """Opens the page at a URL. Whatever it complained of in the end fails the test, unless `noise` was expected."""
    demos: list[tuple[Demo, bool]] = []

    async def open_page(url: str, *, noise: bool = False, **options: Any) -> Demo:
        page = await browser.new_page(**options)
        page.set_default_timeout(PATIENCE)
        demos.append((Demo(page), noise))
        await page.goto(url)
        return demos[-1][0]

    yield open_page
    for demo, noise in demos:
        await demo.page.close()
        assert [text for text in demo.complaints if not (noise and NETWORK_NOISE.search(text))] == []


@each_way
async def test_message_that_is_sent_comes_back_once(server: Server, show: Open, topic: str, way: str) -> None:
    demo = await show(server.url)
    await demo.connect(way, topic)
    hint = await demo.page.inner_text("#outcome")
    await server.publish(topic, "from elsewhere")
    await demo.has(received=1)
    await expect(demo.page.locator("#outcome")).to_have_text(hint)
    await demo.page.click("#clear")
    await demo.send("hello")
    await demo.has(received=1)
    row = demo.page.locator("#messages li")
    assert await row.get_attribute("data-via") == way
    await expect(row.locator("time")).to_have_text(re.compile(r"^\d\d:\d\d:\d\d$"))
    await expect(row.locator(".topic")).to_have_text(topic)
    await expect(row.locator(".from")).to_have_text("you")
    await expect(row.locator(".data")).to_have_text("hello")
    await expect(row.locator(".at")).to_have_text(await demo.page.inner_text("#cursor"))
    await expect(demo.page.locator("#text")).to_have_value("")
    await expect(demo.page.locator("#outcome")).to_have_text(re.compile(r"^Back over .* after \d+\.\d ms$"))
    await demo.has(received=1, duplicates=0, gaps=0)


@each_way
async def test_data_that_is_no_string_is_shown_as_json(server: Server, show: Open, topic: str, way: str) -> None:
    demo = await show(server.url)
    await demo.connect(way, topic)
    await demo.page.check("#json")
    await demo.send('{"n": [1, null]}')
    await demo.has(received=1)
    await demo.send("{")
    await expect(demo.page.locator("#outcome")).to_contain_text("no JSON")
    await expect(demo.page.locator("#text")).to_have_value("{")
    await server.publish(topic, "", 0, None)
    await demo.has(received=4)
    assert await demo.data() == ['{"n":[1,null]}', '""', "0", "null"]


@each_way
async def test_echo_is_timed(server: Server, show: Open, topic: str, way: str) -> None:
    demo = await show(server.url)
    await demo.connect(way, topic)
    await demo.page.click("#echo")
    over = "WebSocket" if way == "ws" else "POST"
    await expect(demo.page.locator("#rtt")).to_have_text(re.compile(rf"^\d+\.\d ms over {over}$"))
    await demo.has(received=0)


async def test_switching_while_messages_flow_loses_and_doubles_nothing(server: Server, show: Open, topic: str) -> None:
    demo = await show(server.url)
    await demo.connect("ws", topic)
    publishing = asyncio.create_task(server.publish(topic, *range(120), every=0.05))
    for turn, way in enumerate(cycle(("sse", "poll", "ws"))):
        if publishing.done():
            break
        await demo.choose(way)
        if turn % 4 == 0:  # sometimes before the last one has connected, and through all of them at once
            await demo.page.evaluate("for (const radio of document.getElementsByName('way')) radio.click()")
            continue
        await demo.is_open()
        await asyncio.sleep(0.25)
    await publishing
    await demo.has(received=120, duplicates=0, gaps=0)
    assert await demo.data() == [str(n) for n in range(120)]
    rows = await demo.page.locator("#messages li").evaluate_all("rows => rows.map(row => row.dataset.via)")
    assert set(rows) == set(WAYS)


@each_way
async def test_connections_that_are_cut_lose_and_double_nothing(
    server: Server, show: Open, topic: str, way: str
) -> None:
    relay = Relay(server.port)
    demo = await show(await relay.start(), noise=True)
    try:
        await demo.connect(way, topic)
        publishing = asyncio.create_task(server.publish(topic, *range(60), every=0.05))
        for _ in range(3):
            await asyncio.sleep(0.4)
            relay.cut()
            if way != "poll":  # a poll that was cut is repeated by the browser, and the page sees nothing of it
                await demo.is_in_state("trying")
                await demo.is_open()
        await publishing
        await demo.has(received=60, duplicates=0, gaps=0)
        assert await demo.data() == [str(n) for n in range(60)]
    finally:
        await relay.stop()


@each_way
async def test_what_was_sent_while_disconnected_comes_after(serve: Serve, show: Open, topic: str, way: str) -> None:
    server = await serve("--retention-count", "5")
    demo = await show(server.url)
    await demo.connect(way, topic)
    await server.publish(topic, 0)
    await demo.has(received=1)
    await demo.toggle()
    await demo.is_in_state("idle")
    await server.publish(topic, 1, 2)
    await demo.toggle()
    await demo.has(received=3, gaps=0)
    await demo.toggle()
    await server.publish(topic, *range(3, 20))
    await demo.toggle()
    await demo.has(received=8, duplicates=0, gaps=1)
    await expect(demo.page.locator("#messages .gap")).to_contain_text(f"part of {topic} is no longer kept")
    assert await demo.data() == [str(n) for n in (0, 1, 2, 15, 16, 17, 18, 19)]


@each_way
async def test_other_topics_go_on_at_the_same_cursor(server: Server, show: Open, topic: str, way: str) -> None:
    demo = await show(server.url)
    await demo.connect(way, topic)
    await server.publish(topic, "a")
    await demo.has(received=1)
    await demo.page.fill("#topics", f"{topic} {topic}.other")
    await demo.page.press("#topics", "Enter")
    await demo.is_open()
    await demo.page.select_option("#to", f"{topic}.other")
    await demo.send("b")
    await demo.has(received=2)
    await server.publish(topic, "c")
    await demo.has(received=3, duplicates=0, gaps=0)
    assert await demo.data() == ["a", "b", "c"]
    assert await demo.page.locator("#messages .topic").all_text_contents() == [topic, f"{topic}.other", topic]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["drain", "kill"])
@each_way
async def test_page_comes_back_to_a_new_server_and_shows_the_gap(
    serve: Serve, show: Open, topic: str, way: str, number: signal.Signals
) -> None:
    server = await serve()
    demo = await show(server.url, noise=True)
    await demo.connect(way, topic)
    await server.publish(topic, "before")
    await demo.has(received=1)
    await server.stop(number)
    await demo.is_in_state("trying")
    await demo.send("after")
    await expect(demo.page.locator("#outcome")).to_have_text("Not sent: the server does not answer. Try again.")
    await asyncio.sleep(0.5)  # long enough for attempts that fail
    await server.start()
    await demo.is_open()
    await demo.has(gaps=1)
    await expect(demo.page.locator("#messages .gap")).to_contain_text(f"perhaps part of {topic}")
    await demo.page.press("#text", "Enter")
    await demo.has(received=2, duplicates=0, gaps=1)
    assert await demo.data() == ["before", "after"]
    if number is signal.SIGTERM:
        await demo.happened("bye (drain)")


@pytest.mark.parametrize("way", ["ws", "sse"])
async def test_server_that_falls_silent_is_left(serve: Serve, show: Open, topic: str, way: str) -> None:
    server = await serve("--heartbeat", "1")
    demo = await show(server.url, noise=True)
    await demo.connect(way, topic)
    await demo.happened(re.compile("heartbeat ×2"))
    server.kill(signal.SIGSTOP)
    try:
        await demo.happened("nothing heard for 2 s")
    finally:
        server.kill(signal.SIGCONT)
    await demo.is_open()
    await demo.send("hello")
    await demo.has(received=1, duplicates=0, gaps=0)


@each_way
async def test_refusal_is_told_and_not_tried_again(serve: Serve, show: Open, way: str) -> None:
    demo = await show((await serve("--max-topics", "1")).url, noise=True)
    await demo.choose(way)
    await demo.page.fill("#topics", "a, b")
    await demo.toggle()
    await expect(demo.page.locator("#trouble")).to_have_text("The server refused: too many topics: the limit is 1.")
    await demo.is_in_state("idle")


async def test_bad_topic_is_refused_by_the_page(server: Server, show: Open, topic: str) -> None:
    demo = await show(server.url)
    for topics in ("two..dots", "né", ""):
        await demo.page.fill("#topics", topics)
        await demo.toggle()
        await expect(demo.page.get_by_role("alert")).to_be_visible()
        await expect(demo.page.locator("#topics")).to_have_attribute("aria-invalid", "true")
    await demo.connect("ws", topic)
    await expect(demo.page.get_by_role("alert")).to_be_hidden()


@each_way
async def test_page_under_a_prefix_uses_it(show: Open, topic: str, way: str) -> None:
    app = web.Application()
    setup(app, "/rt")
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        demo = await show(f"http://127.0.0.1:{runner.addresses[0][1]}/rt/")
        await demo.connect(way, topic)
        await demo.send("hello")
        await demo.has(received=1)
        await demo.toggle()
    finally:
        await runner.cleanup()


async def test_data_is_never_markup(server: Server, show: Open, topic: str) -> None:
    demo = await show(server.url)
    await demo.connect("sse", topic)
    evil = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    await server.publish(topic, evil, {"<b>": evil})
    await demo.has(received=2)
    assert (await demo.data())[0] == evil
    assert await demo.page.locator("#messages :is(img, script)").count() == 0
    assert await demo.page.title() == "tricast"


async def test_page_keeps_the_last_500_messages(server: Server, show: Open, topic: str) -> None:
    demo = await show(server.url)
    await demo.connect("ws", topic)
    for start in range(0, 700, 100):
        await server.publish(topic, *range(start, start + 100))
    await demo.has(received=700, duplicates=0, gaps=0)
    assert await demo.data() == [str(n) for n in range(200, 700)]
    await expect(demo.page.locator("#messages li").last).to_be_in_viewport()
    await demo.page.click("#clear")
    await demo.has(received=0)
    assert await demo.data() == []


async def test_page_works_by_keyboard(server: Server, show: Open, topic: str) -> None:
    demo = await show(server.url)
    keyboard = demo.page.keyboard
    for key in ("Tab", "ArrowDown", "ArrowDown", "Tab", "Tab", "Enter"):
        await keyboard.press(key)
    await expect(demo.page.get_by_role("status")).to_contain_text(["Connected over long polling"])
    for _ in range(3):
        await keyboard.press("Tab")
    await expect(demo.page.get_by_label("Message", exact=True)).to_be_focused()
    await keyboard.type("one")
    await keyboard.press("Shift+Enter")
    await keyboard.type("two")
    await keyboard.press("Enter")
    await demo.has(received=1)
    assert await demo.data() == ["one\ntwo"]


async def test_nothing_is_wider_than_a_small_screen(serve: Serve, show: Open) -> None:
    """Not even with long names, long words and a gap."""
    server = await serve("--retention-count", "1")
    demo = await show(server.url)
    topic = f"a{'b' * 60}.c{'d' * 60}"
    await demo.connect("poll", f"lobby,{topic}")
    await demo.toggle()
    await server.publish(topic, "x" * 300, {"key": "y" * 300})
    await demo.toggle()
    await demo.has(received=1, gaps=1)
    for width in (320, 390, 740, 820):
        await demo.page.set_viewport_size({"width": width, "height": 740})
        assert await demo.page.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize("allowed", [True, False])
async def test_plain_page_of_another_origin(serve: Serve, show: Open, allowed: bool) -> None:
    """Ten lines with the browser's own EventSource and WebSocket, which hear nothing where they are not allowed."""
    port = unused_port()
    server = await serve("--allow-origin", f"http://127.0.0.1:{port if allowed else port + 1}")
    html = PLAIN.read_text().replace("localhost:8080", f"127.0.0.1:{server.port}")

    async def page(request: web.Request) -> web.Response:
        return web.Response(text=html if request.path == "/" else "", content_type="text/html")

    app = web.Application()
    app.router.add_get("/{path:.*}", page)  # a browser asks for an icon too
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        demo = await show(f"http://127.0.0.1:{port}/", noise=not allowed)
        log = demo.page.locator("#log")
        if allowed:
            async with asyncio.timeout(15):
                while await server.connections() != {"ws": 1, "sse": 1, "poll": 0}:
                    await asyncio.sleep(0.05)
            await server.publish("lobby", "to both")
            await expect(log).to_contain_text("sse: to both")
            await expect(log).to_contain_text("ws: to both")
            assert (await log.inner_text()).count("ws: hello") == 1
        else:
            while len(demo.complaints) < 2:  # one for each
                await asyncio.sleep(0.05)
            await server.publish("lobby", "to nobody")
            await asyncio.sleep(0.3)
            assert await log.inner_text() == ""
    finally:
        await runner.cleanup()
