// The conversation on the page: one list entry per item, changed in place so that nothing flickers or jumps.

import { GROUPS, NAMES, clamp, split } from "./latency.js";

const CHARS_PER_S = 15; // a calm speaking rate: where the agent is in its text, until the log says exactly
const LABELS = { endpoint: "End of turn decided", asr_final: "Final text", llm_ttft: "First token", llm_first_clause: "First clause", tts_ttfa: "First audio", playout: "First packet", voice_to_voice: "Voice to voice" };

export class Script {
  constructor(list, announce) {
    this.list = list;
    this.announce = announce;
    this.rows = new Map();
    this.scaleMs = 1200;
    this.startNs = 0;
  }

  clear() {
    this.list.replaceChildren();
    this.rows.clear();
    this.scaleMs = 1200;
  }

  // `nowNs` is the server's clock as far as we know it.
  draw(state, nowNs) {
    this.startNs = state.startNs;
    const scale = Math.max(1200, ...state.voiceToVoice.map((ms) => Math.ceil(ms / 200) * 200));
    const rescaled = scale !== this.scaleMs;
    this.scaleMs = scale;
    this.follow(() => {
      for (const item of state.items) {
        const row = this.rows.get(item.key) ?? this.add(item);
        if (item.kind === "caller") this.drawCaller(row, item);
        else if (item.kind === "agent") this.drawAgent(row, item, nowNs, rescaled);
        else setText(row.words, item.text);
      }
    });
  }

  // Change something; whoever reads the end of the page stays there.
  follow(change) {
    const page = document.documentElement;
    const atEnd = page.scrollHeight - page.scrollTop - page.clientHeight < 120;
    change();
    if (atEnd) window.scrollTo({ top: page.scrollHeight });
  }

  // Something is being spoken: draw again soon.
  moving(state) {
    return state.items.some((item) => item.kind === "agent" && item.state === "speaking");
  }

  add(item) {
    const row = { entry: el("li", `line ${item.kind}`) };
    const who = el("p", "who");
    const time = el("time");
    setText(time, clockTime((item.atNs - this.startNs) / 1e9));
    who.append(el("span", "", { caller: "You", agent: "Agent", note: "" }[item.kind]), time);
    row.words = el("p", "words");
    const said = el("div", "said");
    said.append(row.words);
    row.entry.append(who, said);
    if (item.kind === "caller") {
      row.stable = el("span", "stable");
      row.unstable = el("span", "unstable");
      row.words.append(row.stable, row.unstable);
      row.aside = el("p", "aside");
      said.append(row.aside);
    }
    if (item.kind === "agent") {
      row.spoken = el("span", "spoken");
      row.ahead = el("span", "ahead");
      row.mark = el("span", "cutmark");
      row.mark.hidden = true;
      row.words.append(row.spoken, row.mark, row.ahead);
      row.said = said;
    }
    this.rows.set(item.key, row);
    this.list.append(row.entry);
    return row;
  }

  drawCaller(row, item) {
    setState(row, item.state);
    setText(row.stable, item.stable);
    setText(row.unstable, item.unstable ? ` ${item.unstable}` : "");
    row.entry.classList.toggle("listening", item.state === "partial" && !item.stable && !item.unstable);
    setText(row.aside, item.state === "dropped" ? item.reason : "");
    row.entry.hidden = item.state === "dropped" && !item.stable && !item.reason;
    if (item.state === "final" && item.stable && !row.told) {
      row.told = true;
      this.announce(`You: ${item.stable}`);
    }
  }

  drawAgent(row, item, nowNs, rescaled) {
    setState(row, item.state);
    row.entry.dataset.reply = item.reply;
    const cutAt = item.state === "cut" ? item.cutAt : spokenLength(item, nowNs);
    setText(row.spoken, item.text.slice(0, cutAt).trimEnd());
    const ahead = item.text.slice(cutAt);
    setText(row.ahead, item.state === "cut" ? ahead.trimStart() : ahead);
    row.mark.hidden = item.state !== "cut";
    row.entry.hidden = item.state === "dropped";
    if (item.state === "cut") setText(row.mark, cutText(item));
    if ((item.state === "done" || item.state === "cut") && !row.told) {
      row.told = true;
      this.announce(`Agent: ${item.heard}${item.state === "cut" ? " (interrupted)" : ""}`);
    }
    this.drawTiming(row, item, rescaled);
  }

  drawTiming(row, item, rescaled) {
    const known = Object.keys(item.stages).length;
    if (!item.stages.voice_to_voice || (row.known === known && !rescaled)) return;
    row.known = known;
    if (!row.timing) {
      row.timing = el("details", "timing");
      row.timing.append(el("summary"), el("dl"));
      row.said.append(row.timing);
    }
    const total = item.stages.voice_to_voice.ms;
    const parts = split(item.stages) ?? [];
    const bar = el("span", "bar");
    bar.setAttribute("role", "img");
    bar.setAttribute("aria-label", parts.map((p) => `${NAMES[p.group]} ${Math.round(p.ms)} ms`).join(", "));
    const fill = el("span", "fill");
    fill.style.width = `${(total / this.scaleMs) * 100}%`;
    for (const part of parts) {
      const piece = el("i");
      piece.dataset.stage = part.group;
      piece.style.flexGrow = part.ms;
      piece.title = `${NAMES[part.group]}: ${Math.round(part.ms)} ms`;
      fill.append(piece);
    }
    const limit = el("b", "limit");
    limit.style.left = `${(800 / this.scaleMs) * 100}%`;
    limit.title = "800 ms: beyond this a pause is noticed";
    bar.append(fill, limit);
    const number = el("span", `ms ${total > 800 ? "slow" : ""}`, `${Math.round(total)} ms`);
    row.timing.firstChild.replaceChildren(number, bar);
    row.timing.lastChild.replaceChildren(
      ...Object.entries(LABELS).filter(([name]) => item.stages[name]).map(([name, label]) => {
        const pair = el("div");
        const term = el("dt", "", label);
        if (GROUPS[name]) term.dataset.stage = GROUPS[name];
        pair.append(term, el("dd", "", `${Math.round(item.stages[name].ms)} ms`));
        return pair;
      }),
    );
  }
}

function cutText(item) {
  if (!item.heard) return "interrupted before its first word";
  return item.stopMs === null ? "interrupted here" : `interrupted here, silent after ${Math.round(item.stopMs)} ms`;
}

// Whole words of the text that have been said by now.
function spokenLength(item, nowNs) {
  if (item.state === "done") return item.text.length;
  if (item.state === "preparing") return 0;
  const ns = item.spokenNs + (item.state === "speaking" ? Math.max(0, nowNs - item.speechNs) : 0);
  const about = clamp(Math.round((ns / 1e9) * CHARS_PER_S), 0, item.text.length);
  const space = item.text.indexOf(" ", about);
  return space < 0 || about === 0 ? (about === 0 ? 0 : item.text.length) : space;
}

export function clockTime(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

export function el(tag, className = "", text = "") {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text) node.textContent = text;
  return node;
}

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function setState(row, state) {
  if (row.entry.dataset.state !== state) row.entry.dataset.state = state;
}
