// Where the time of one turn went, and percentiles. Pure.

export const GROUPS = { endpoint: "endpoint", asr_final: "asr", llm_ttft: "llm", llm_first_clause: "llm", tts_ttfa: "tts", playout: "playout" };
export const NAMES = { endpoint: "end of turn", asr: "hearing", llm: "thinking", tts: "speaking", playout: "sending" };
const ORDER = ["endpoint", "asr_final", "llm_ttft", "llm_first_clause", "tts_ttfa", "playout"];

// Splits voice-to-voice by what was waited for: stages overlap (a reply is prepared while the end of the turn
// is still being awaited), so each moment belongs to the stage that finished next. The parts add up to the whole.
// Returns null until voice-to-voice is known, else [{ group, ms }] without empty parts.
export function split(stages) {
  const whole = stages.voice_to_voice;
  if (!whole || !(whole.ms > 0)) return null;
  const startNs = whole.atNs - whole.ms * 1e6;
  const ends = ORDER.filter((name) => stages[name])
    .map((name) => ({ group: GROUPS[name], end: clamp((stages[name].atNs - startNs) / 1e6, 0, whole.ms) }))
    .sort((a, b) => a.end - b.end);
  const parts = [];
  let at = 0;
  for (const { group, end } of [...ends, { group: "playout", end: whole.ms }]) {
    add(parts, group, end - at);
    at = Math.max(at, end);
  }
  return parts;
}

function add(parts, group, ms) {
  if (ms < 0.5) return;
  if (parts.at(-1)?.group === group) parts.at(-1).ms += ms;
  else parts.push({ group, ms });
}

// Nearest rank: an observed value, never an invented one.
export function percentile(values, p) {
  if (!values.length) return null;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil((p / 100) * sorted.length) - 1)];
}

export function clamp(value, low, high) {
  return Math.min(high, Math.max(low, value));
}
