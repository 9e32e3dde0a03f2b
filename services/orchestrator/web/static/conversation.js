// The conversation as a pure function of the call's event log: `apply(state, event)` and nothing else.
// No DOM and no clock here, so that a reconnect simply replays the log into a fresh state.

export function newConversation() {
  return {
    items: [], // caller, agent and note entries, in the order they began
    startNs: 0,
    agentActive: null, // the agent item that is being spoken or prepared
    callerSpeaking: false,
    ended: null,
    voiceToVoice: [], // ms per turn
    bargeInStop: [],
    waitingStages: new Map(), // stages that were measured before their agent item existed
  };
}

const NOTES = {
  ServiceFailed: (e) => `${SERVICE[e.service] ?? e.service} did not answer; ${e.will_retry ? "trying again" : "giving up"}`,
  ServiceRecovered: (e) => `${SERVICE[e.service] ?? e.service} answers again`,
  DtmfReceived: (e) => `Key ${e.digit}`,
  HoldChanged: (e) => (e.held ? "On hold" : "Back from hold"),
};
const SERVICE = { vad: "Speech detection", asr: "Hearing", llm: "Thinking", tts: "Speaking", telephony: "The line", database: "The database" };

const DROPPED = { "no words": "a sound, no words", backchannel: "said along, not a turn", held: "while on hold" };

const handlers = {
  CallStarted(s, e) {
    s.startNs = e.at_ns;
  },
  SpeechStarted(s, e) {
    s.callerSpeaking = true;
    caller(s, e.utterance, e.onset_ns).over = e.during_playout;
  },
  SpeechResumed(s, e) {
    s.callerSpeaking = true;
    caller(s, e.utterance, e.at_ns).state = "partial";
  },
  SpeechPaused(s) {
    s.callerSpeaking = false;
  },
  PartialTranscript(s, e) {
    const item = caller(s, e.utterance, e.at_ns);
    if (item.state === "final") return;
    item.stable = e.stable;
    item.unstable = e.unstable;
  },
  FinalTranscript(s, e) {
    const item = caller(s, e.utterance, e.at_ns);
    if (e.rejection) return;
    item.stable = e.text;
    item.unstable = "";
    if (!e.provisional) item.state = "final";
  },
  TurnEnded(s, e) {
    s.callerSpeaking = false;
    const item = caller(s, e.utterance, e.at_ns);
    item.turn = e.turn;
    item.state = "final";
  },
  TurnDropped(s, e) {
    s.callerSpeaking = false;
    const item = caller(s, e.utterance, e.at_ns);
    item.state = "dropped";
    item.reason = DROPPED[e.reason] ?? e.reason.replaceAll("_", " ");
  },
  ReplyStarted(s, e) {
    const item = {
      kind: "agent", key: `a${s.items.length}`, turn: e.turn, reply: e.kind, atNs: e.at_ns,
      text: "", heard: null, state: "preparing", cutAt: null, stages: {}, stopMs: null, speechNs: 0, spokenNs: 0,
    };
    Object.assign(item.stages, s.waitingStages.get(e.turn));
    s.waitingStages.delete(e.turn);
    s.items.push(item);
    s.agentActive = item;
  },
  ReplyText(s, e) {
    const item = openAgent(s, e.turn);
    if (item) item.text = extend(item.text, e.text);
  },
  AgentSpeechStarted(s, e) {
    const item = openAgent(s, e.turn);
    if (item) Object.assign(item, { state: "speaking", speechNs: e.at_ns });
    if (item) s.agentActive = item;
  },
  PlayoutPaused(s, e) {
    const item = agent(s, e.turn);
    if (item?.state !== "speaking") return;
    item.spokenNs += Math.max(0, e.stopped_ns - item.speechNs);
    item.state = "paused";
  },
  PlayoutResumed(s, e) {
    const item = agent(s, e.turn);
    if (item?.state === "paused") Object.assign(item, { state: "speaking", speechNs: e.at_ns });
  },
  BargeIn(s, e) {
    const item = openAgent(s, e.turn);
    if (item) cut(item, e.heard);
    if (s.agentActive === item) s.agentActive = null;
  },
  AgentSpeechEnded(s, e) {
    // An interruption was told before, by the barge-in.
    if (!e.complete && s.items.some((i) => i.kind === "agent" && i.turn === e.turn && i.state === "cut" && i.heard === e.heard)) return;
    const item = openAgent(s, e.turn);
    if (!item) return;
    if (e.complete) Object.assign(item, { state: "done", heard: item.text || e.heard, text: item.text || e.heard });
    else cut(item, e.heard);
    if (s.agentActive === item) s.agentActive = null;
  },
  StageMeasured(s, e) {
    const sample = { ms: e.ms, atNs: e.at_ns };
    if (e.stage === "voice_to_voice") s.voiceToVoice.push(e.ms);
    if (e.stage === "barge_in_stop") {
      s.bargeInStop.push(e.ms);
      const item = s.items.findLast((i) => i.kind === "agent" && i.state === "cut" && i.heard) ?? agent(s, e.turn);
      if (item) item.stopMs = e.ms;
      return;
    }
    const item = agent(s, e.turn);
    if (item) item.stages[e.stage] = sample;
    else s.waitingStages.set(e.turn, { ...s.waitingStages.get(e.turn), [e.stage]: sample });
  },
  CallEnded(s, e) {
    s.ended = { cause: e.cause, detail: e.detail, atNs: e.at_ns };
    s.callerSpeaking = false;
    s.agentActive = null;
    dropPrepared(s);
  },
  ServiceFailed(s, e) {
    if (e.service === "llm" || e.service === "tts") dropPrepared(s);
    note(s, e);
  },
};

export function apply(state, event) {
  const handler = handlers[event.type];
  if (handler) handler(state, event);
  else if (NOTES[event.type]) note(state, event);
}

function caller(s, utterance, atNs) {
  let item = s.items.findLast((i) => i.kind === "caller" && i.utterance === utterance);
  if (!item) {
    item = { kind: "caller", key: `c${s.items.length}`, utterance, atNs, stable: "", unstable: "", state: "partial", over: false, turn: null, reason: "" };
    s.items.push(item);
  }
  return item;
}

function agent(s, turn) {
  return s.items.findLast((i) => i.kind === "agent" && i.turn === turn);
}

// Of several speeches in one turn (an apology, then the answer) the one that is not over yet.
function openAgent(s, turn) {
  return s.items.find((i) => i.kind === "agent" && i.turn === turn && !["done", "cut", "dropped"].includes(i.state)) ?? agent(s, turn);
}

// A reply that was being prepared will not come: the service failed, or the call is over.
function dropPrepared(s) {
  for (const item of s.items) if (item.kind === "agent" && item.state === "preparing") item.state = "dropped";
  if (s.agentActive?.state === "dropped") s.agentActive = null;
}

function cut(item, heard) {
  item.state = "cut";
  item.heard = heard;
  if (!item.text) item.text = heard;
  item.cutAt = sharedLength(item.text, heard);
}

// Keys pressed one after the other are one note.
function note(s, event) {
  const text = NOTES[event.type](event);
  const last = s.items.at(-1);
  if (event.type === "DtmfReceived" && last?.kind === "note" && last.type === event.type) last.text += ` ${event.digit}`;
  else s.items.push({ kind: "note", key: `n${s.items.length}`, type: event.type, atNs: event.at_ns, text });
}

// The text so far, whether an event brings all of it or only the new clause.
function extend(old, text) {
  if (!old || text.startsWith(old)) return text;
  if (old.endsWith(text)) return old;
  return /\s$/.test(old) || /^\s/.test(text) ? old + text : `${old} ${text}`;
}

// How much of `text` the words of `heard` cover, whatever the spaces: an index into `text`.
function sharedLength(text, heard) {
  let i = 0;
  for (const ch of heard) {
    if (/\s/.test(ch)) continue;
    while (i < text.length && /\s/.test(text[i])) i++;
    if (text[i] !== ch) break;
    i++;
  }
  return i;
}
