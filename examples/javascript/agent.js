// /frontend: builds the UI for each finished API design, after one question to its designer.
const { readFileSync } = require("node:fs");
const { WebSocket } = require("ws");

const URL = process.env.HANDBELL_URL ?? "ws://127.0.0.1:7710/v1/ws";
const TOKEN_FILE = process.env.HANDBELL_TOKEN_FILE;
const TRY_AGAIN = ["busy", "backend_unavailable", "in_doubt", "seq_gap"];
const calls = new Map(); // who waits for a reply, by call
const unanswered = new Map(); // requests by seq, until they are published or refused
let ws, resume, seq = 0, wait = 100, leaving = false;

const say = (text) => console.log(`/frontend: ${text}`);
const send = (frame) => ws.readyState === WebSocket.OPEN && ws.send(JSON.stringify(frame));
const nack = (delivery, reason) => send({ op: "nack", delivery, class: "temporary_failure", reason });
const sendRequest = (seq) => unanswered.has(seq) && send({ op: "request", seq, ...unanswered.get(seq) });

const request = (frame) => new Promise((resolve) => {
  if (calls.has(frame.call)) return calls.get(frame.call).push(resolve); // the question is open already
  calls.set(frame.call, [resolve]);
  unanswered.set(++seq, frame);
  sendRequest(seq);
});

function answer(call, reply) {
  for (const resolve of calls.get(call) ?? []) resolve(reply);
  calls.delete(call);
}

async function build(f) { // may run twice for one design: the output in the ack is stored once
  const { delivery, event: { id, source } } = f;
  say(`asking ${source} about "${f.payload.story}" (attempt ${f.attempt})`);
  const reply = await request({
    call: `about ${id}`, deadline: "10s", routing: { to: source }, cause: delivery,
    event: { type: "HelpRequestEvent" },
    payload: { from_agent: "/frontend", to_agent: source, context: "How long is a page?" },
  });
  say(`reply, ${reply.status}: ${JSON.stringify(reply.payload)}`);
  if (reply.status !== "ok") return nack(delivery, `no answer from ${source}: ${reply.status}`);
  const output = { event: { type: "ImplementationCompletedEvent" }, payload: reply.payload,
    routing: { topic: "project.builds", partition_key: f.routing.partition_key } };
  send({ op: "ack", deliveries: [delivery], publish: [output], confirm: true });
}

const handlers = {
  welcome(f) {
    wait = 100;
    say(f.resumed ? "connected, the same session goes on" : "connected, a new session");
    resume = f.resume;
    if (!f.resumed) { // its deliveries come again, so what they have asked is forgotten
      for (const call of [...calls.keys()]) answer(call, { status: "lost" });
      unanswered.clear();
      send({ op: "subscribe", sub: "designs", topics: ["project.designs"],
        filter: "type=APIDesignCompleted", group: "frontends" });
    }
    for (const seq of unanswered.keys()) sendRequest(seq); // the same seq is stored once
  },
  deliver: (f) => build(f).catch((fault) => // not what we understand: trying again won't help
    send({ op: "reject", delivery: f.delivery, reason: `can't read the payload: ${fault.message}` })),
  published: (f) => unanswered.delete(f.seq),
  reply(f) {
    send({ op: "ack", deliveries: [f.delivery] });
    answer(f.call, f);
  },
  settled(f) {
    say(`build stored as ${f.published[0].id}`);
    if (process.env.HANDBELL_ONCE === "1") leave();
  },
  rejected(f) {
    say(`${f.code}: ${f.reason}`);
    if (f.delivery) return nack(f.delivery, f.reason); // an output: nothing of that ack was stored
    if (TRY_AGAIN.includes(f.code)) return setTimeout(sendRequest, f.retry_after_ms ?? 200, f.seq);
    answer(unanswered.get(f.seq)?.call, { status: f.code });
    unanswered.delete(f.seq);
  },
  goaway: () => send({ op: "bye" }), // the sidecar is about to stop: come back later
  error(f) {
    say(`${f.code}: ${f.reason}`);
    if (f.code === "unauthorized") resume = undefined, seq = 0; // another log: begin as a new producer
  },
};

function connect() {
  const token = TOKEN_FILE && readFileSync(TOKEN_FILE, "utf8").trim();
  ws = new WebSocket(URL);
  ws.on("open", () => send({ op: "hello", agent: "/frontend", token, resume }));
  ws.on("message", (text) => { const f = JSON.parse(text); handlers[f.op]?.(f); });
  ws.on("error", () => {}); // "close" follows
  ws.on("close", () => {
    if (leaving) return say("bye");
    say(`no connection, trying again in ${wait} ms`);
    setTimeout(connect, wait);
    wait = Math.min(wait * 2, 2000);
  });
}

function leave() { // what is unfinished is given back at once
  leaving = true;
  send({ op: "bye" });
  if (ws.readyState === WebSocket.CLOSED) process.exit();
  ws.close();
}

process.on("SIGTERM", leave);
connect();
