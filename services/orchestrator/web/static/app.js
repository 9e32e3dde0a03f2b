// Wires the page: buttons to the call, the call's events to what is shown.

import { Call, CallError } from "./call.js";
import { apply, newConversation } from "./conversation.js";
import { percentile } from "./latency.js";
import { Script, clockTime, el, setText } from "./script.js";
import { Strip } from "./strip.js";

const $ = (id) => document.getElementById(id);
const PHASES = {
  idle: "Ready", asking: "Allow the microphone", connecting: "Connecting", listening: "Listening", hearing: "Hearing you",
  thinking: "Thinking", speaking: "Speaking", ended: "Call ended", trouble: "No call", reconnecting: "Connection lost, waiting",
};
const SERVICES = { asr: "Hearing", llm: "Thinking", tts: "Speaking", vad: "Turn taking" };
const CAUSES = {
  media_timeout: "No sound came from this browser any more.", failed: "Something went wrong on the server.",
  drain: "The server is being restarted. Call again in a moment.",
};

const script = new Script($("script"), (text) => setText($("announce"), text));
const strip = new Strip($("strip"));
let conversation = newConversation();
let call = null;
let stun = [];
let offsetMs = Infinity; // page clock minus server clock, the least seen
let barges = 0;
let timers = [];
let lost = false;

function setPhase(name) {
  document.body.dataset.phase = name;
  setText($("phase-text"), PHASES[name]);
}

function show() {
  script.draw(conversation, (performance.now() - offsetMs) * 1e6);
  if (call && !call.over && document.body.dataset.phase !== "connecting" && document.body.dataset.phase !== "asking") setPhase(livePhase());
  $("waiting").hidden = conversation.items.length > 0;
  drawFigures();
}

function livePhase() {
  if (lost) return "reconnecting";
  if (conversation.callerSpeaking) return "hearing";
  const active = conversation.agentActive;
  if (active) return active.state === "speaking" ? "speaking" : active.state === "paused" ? "hearing" : "thinking";
  return conversation.items.at(-1)?.kind === "caller" && conversation.items.at(-1).state === "final" ? "thinking" : "listening";
}

function drawFigures() {
  const ms = (value) => (value === null ? "–" : `${Math.round(value)} ms`);
  const values = conversation.voiceToVoice;
  setText($("v2v-last"), values.length ? String(Math.round(values.at(-1))) : "–");
  setText($("v2v-p50"), ms(percentile(values, 50)));
  setText($("v2v-p95"), ms(percentile(values, 95)));
  setText($("v2v-n"), String(values.length));
  setText($("barge-last"), ms(conversation.bargeInStop.at(-1) ?? null));
  $("figures").classList.toggle("none", values.length === 0);
  $("figures").classList.toggle("slow", (values.at(-1) ?? 0) > 800);
}

const hooks = {
  onPhase(name) {
    setPhase(name === "live" ? "listening" : name);
    setText($("waiting"), { asking: "Allow the microphone when the browser asks.", connecting: "Connecting…", live: "Connected. The agent will greet you." }[name]);
    if (name === "live") goLive();
    show();
  },
  onMicrophone: (stream) => strip.listen("caller", stream),
  onStream(stream) {
    $("voice").srcObject = stream;
    $("voice").play().catch(() => {});
    strip.listen("agent", stream);
  },
  onStreamLost(value) {
    lost = value;
    show();
  },
  onReplay() {
    conversation = newConversation();
    barges = 0;
    script.clear();
  },
  onEvent(event) {
    offsetMs = Math.min(offsetMs, performance.now() - event.at_ns / 1e6);
    apply(conversation, event);
    if (event.type === "BargeIn" && ++barges) strip.mark();
    show();
  },
  onEnd(error) {
    for (const timer of timers) clearInterval(timer);
    strip.stop();
    $("dock").hidden = true;
    closeKeypad();
    $("voice").srcObject = null;
    if (error) return trouble(error);
    // The last events may still be on their way.
    setTimeout(showEnd, conversation.ended ? 0 : 400);
    setPhase("ended");
  },
};

function goLive() {
  $("dock").hidden = false;
  $("clock").hidden = false;
  strip.start();
  const began = performance.now();
  timers = [
    setInterval(() => setText($("clock"), clockTime((performance.now() - began) / 1000)), 500),
    setInterval(() => script.moving(conversation) && show(), 100),
    setInterval(drawNetwork, 2000),
  ];
  $("hang").focus({ preventScroll: true });
}

async function drawNetwork() {
  const seen = await call?.network();
  if (!seen) return;
  const rtt = seen.rttMs === undefined ? "" : `Round trip ${Math.max(1, Math.round(seen.rttMs))} ms, `;
  const loss = seen.lost > 0 ? `, ${((100 * seen.lost) / (seen.lost + seen.received)).toFixed(1)} % lost` : "";
  setText($("network"), `${rtt}this browser's buffer ${Math.round(seen.bufferMs)} ms${loss}: to be added to voice to voice.`);
}

async function begin() {
  conversation = newConversation();
  script.clear();
  offsetMs = Infinity;
  lost = false;
  $("hero").hidden = true;
  $("trouble").hidden = true;
  $("talkroom").hidden = false;
  $("finished")?.remove();
  setMuted(false);
  call = new Call(hooks);
  const mine = call;
  try {
    await mine.start(stun);
  } catch (error) {
    mine.finish(error instanceof CallError ? error : new CallError("The call could not be made", String(error.message ?? error)));
  }
}

function trouble(error) {
  setPhase("trouble");
  $("clock").hidden = true;
  $("talkroom").hidden = conversation.items.length === 0;
  setText($("trouble-title"), error.title);
  setText($("trouble-text"), error.advice);
  $("trouble").hidden = false;
  const retry = $("trouble-retry");
  drawFigures();
  window.scrollTo({ top: conversation.items.length ? document.documentElement.scrollHeight : 0 });
  retry.focus({ preventScroll: true });
  countDown(retry, error.retryAfterS);
}

function countDown(button, seconds) {
  button.disabled = seconds > 0;
  setText(button, seconds > 0 ? `Try again in ${seconds} s` : "Try again");
  if (seconds > 0) setTimeout(() => countDown(button, seconds - 1), 1000);
}

function showEnd() {
  $("waiting").hidden = true;
  const { cause = "" } = conversation.ended ?? {};
  const card = el("section", "finished");
  card.id = "finished";
  const turns = conversation.voiceToVoice.length;
  const again = el("button", "talk small", "Talk again");
  again.type = "button";
  again.addEventListener("click", begin);
  card.append(el("h2", "", "Call ended"), el("p", "", CAUSES[cause] ?? `${turns} ${turns === 1 ? "answer" : "answers"} in ${$("clock").textContent} minutes.`), again);
  $("talkroom").append(card);
  $("clock").hidden = true;
  show();
  again.focus({ preventScroll: true });
  card.scrollIntoView({ block: "end" });
}

function setMuted(on) {
  $("mute").setAttribute("aria-pressed", String(on));
  setText($("mute").lastElementChild, on ? "Muted" : "Mute");
  $("mute-icon").setAttribute("href", on ? "#i-mic-off" : "#i-mic");
  call?.mute(on);
}

function closeKeypad() {
  $("keypad").hidden = true;
  $("keys").setAttribute("aria-expanded", "false");
  document.body.classList.remove("keys-open");
}

function buildKeypad() {
  for (const digit of "123456789*0#") {
    const key = el("button", "key", digit);
    key.type = "button";
    key.addEventListener("click", () => call?.press(digit));
    $("keypad").append(key);
  }
  document.addEventListener("keydown", (event) => {
    if ($("keypad").hidden) return;
    if (event.key === "Escape") closeKeypad();
    else if (/^[0-9*#]$/.test(event.key)) call?.press(event.key);
  });
}

async function loadAbout() {
  const response = await fetch("/api/about/public").catch(() => null);
  if (!response?.ok) return;
  const about = await response.json();
  stun = about.stun ?? [];
  const rows = Object.entries(SERVICES).filter(([name]) => about.services?.[name]).map(([name, label]) => {
    const { engine, models, device } = about.services[name];
    const row = el("div");
    const value = el("dd");
    value.append(...(models.length ? models : [engine]).map((name) => el("span", "", name)));
    value.append(el("small", "", [engine, device].filter(Boolean).join(" on ")));
    row.append(el("dt", "", label), value);
    return row;
  });
  if (rows.length) $("models").replaceChildren(...rows);
}

$("talk").addEventListener("click", begin);
$("trouble-retry").addEventListener("click", begin);
$("hang").addEventListener("click", () => call?.hangUp());
$("mute").addEventListener("click", () => setMuted($("mute").getAttribute("aria-pressed") !== "true"));
$("keys").addEventListener("click", () => {
  if (!$("keypad").hidden) return closeKeypad();
  $("keypad").hidden = false;
  $("keys").setAttribute("aria-expanded", "true");
  script.follow(() => document.body.classList.add("keys-open"));
});
window.addEventListener("pagehide", () => call && !call.over && call.hangUp());
const sample = new Strip($("sample"));
sample.sample();
window.addEventListener("resize", () => $("hero").hidden || sample.draw());
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => sample.draw());
buildKeypad();
loadAbout();
