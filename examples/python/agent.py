"""/api-designer: designs an API for each approved user story, and answers questions about it."""
import asyncio, contextlib, json, os, signal
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

URL = os.environ.get("HANDBELL_URL", "ws://127.0.0.1:7710/v1/ws")
ONCE = os.environ.get("HANDBELL_ONCE") == "1"
TOKEN_FILE = os.environ.get("HANDBELL_TOKEN_FILE")
ws, resume, wait = None, None, 0.1

def say(text):
    print(f"/api-designer: {text}", flush=True)

async def send(op, **frame):
    await ws.send(json.dumps({"op": op, **frame}))

async def design(f):  # may run twice for one event: what it publishes in the ack is stored once
    story = f["payload"]["story"]
    say(f"designing an API for \"{story}\" (attempt {f['attempt']})")
    output = {"event": {"type": "APIDesignCompleted"}, "payload": {"story": story, "paths": ["GET /items"]},
              "routing": {"topic": "project.designs", "partition_key": f["routing"].get("partition_key")}}
    await send("ack", deliveries=[f["delivery"]], publish=[output], confirm=True)

async def answer(f):
    say(f"{f['event']['source']} asks: {f['payload']['context']}")
    await send("respond", delivery=f["delivery"], payload={"answer": "50 a page"}, confirm=True)

async def handle(f):
    global resume, wait
    match f["op"]:
        case "welcome":
            wait = 0.1
            say("connected, the same session goes on" if f["resumed"] else "connected, a new session")
            resume = f["resume"]
            if not f["resumed"]:
                await send("subscribe", sub="stories", topics=["project.stories"], group="designers",
                           filter="type=UserStoryApproved")
        case "deliver":
            try:
                await (answer if "call" in f else design)(f)
            except (KeyError, TypeError) as fault:  # not what we understand: trying again won't help
                await send("reject", delivery=f["delivery"], reason=f"can't read the payload: {fault!r}")
        case "settled" if "published" in f:
            say(f"design stored as {f['published'][0]['id']}")
        case "settled":
            say("answer stored")
            if ONCE:
                asyncio.current_task().cancel()
        case "rejected":  # an output was refused: nothing of that ack was stored or settled
            say(f"{f['code']}: {f['reason']}")
            await send("nack", delivery=f["delivery"], reason=f["reason"], **{"class": "temporary_failure"})
        case "goaway":  # the sidecar is about to stop: come back later
            await send("bye")
        case "error":
            say(f"{f['code']}: {f['reason']}")
            resume = None if f["code"] == "unauthorized" else resume  # the log may be a new one

async def main():
    global ws, wait
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)
    token = open(TOKEN_FILE).read().strip() if TOKEN_FILE else None
    while True:
        with contextlib.suppress(OSError, WebSocketException):
            async with connect(URL, proxy=None) as ws:
                try:
                    await send("hello", agent="/api-designer", token=token, resume=resume)
                    async for text in ws:
                        await handle(json.loads(text))
                except asyncio.CancelledError:  # SIGTERM: what is unfinished is given back at once
                    with contextlib.suppress(WebSocketException):
                        await send("bye")
                    raise
        say(f"no connection, trying again in {wait} s")
        await asyncio.sleep(wait)
        wait = min(wait * 2, 2)

with contextlib.suppress(asyncio.CancelledError, KeyboardInterrupt):
    asyncio.run(main())
say("bye")
