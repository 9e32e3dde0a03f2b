// The last 20 seconds as sound: the caller above the line, the agent below, interruptions marked.

const SECONDS = 20;
const PER_S = 20;

export class Strip {
  constructor(canvas) {
    this.canvas = canvas;
    this.samples = []; // { caller, agent, mark }
    this.meters = {};
    this.timer = null;
  }

  // `side` is "caller" or "agent".
  listen(side, stream) {
    this.audio ??= new AudioContext();
    const analyser = this.audio.createAnalyser();
    analyser.fftSize = 1024;
    this.audio.createMediaStreamSource(stream).connect(analyser);
    this.meters[side] = { analyser, data: new Float32Array(analyser.fftSize) };
  }

  start() {
    this.samples = [];
    this.audio?.resume();
    this.timer ??= setInterval(() => this.tick(), 1000 / PER_S);
  }

  stop() {
    clearInterval(this.timer);
    this.timer = null;
    this.audio?.close();
    this.audio = null;
    this.meters = {};
  }

  mark() {
    this.marked = true;
  }

  // An invented exchange, as a picture of what will be shown.
  sample() {
    const talk = (from, to) => (i) => (i < from || i > to ? 0 : 0.35 + 0.45 * Math.abs(Math.sin(i * 0.55) * Math.sin(i * 0.21)) + 0.12 * Math.sin(i * 2.7));
    const caller = [talk(14, 96), talk(246, 300)], agent = [talk(110, 254), talk(316, 392)];
    const sum = (voices, i) => Math.max(...voices.map((voice) => voice(i)));
    this.samples = Array.from({ length: SECONDS * PER_S }, (_, i) => ({ caller: sum(caller, i), agent: sum(agent, i), mark: i === 254 }));
    this.draw();
  }

  tick() {
    this.samples.push({ caller: this.level("caller"), agent: this.level("agent"), mark: this.marked });
    this.marked = false;
    if (this.samples.length > SECONDS * PER_S) this.samples.shift();
    if (document.visibilityState === "visible") this.draw();
  }

  // 0 to 1 over the 50 dB above the noise of a quiet room.
  level(side) {
    const meter = this.meters[side];
    if (!meter) return 0;
    meter.analyser.getFloatTimeDomainData(meter.data);
    let sum = 0;
    for (const x of meter.data) sum += x * x;
    const db = 10 * Math.log10(sum / meter.data.length + 1e-10);
    return Math.min(1, Math.max(0, (db + 60) / 50));
  }

  draw() {
    const scale = window.devicePixelRatio || 1;
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (this.canvas.width !== Math.round(width * scale)) {
      this.canvas.width = Math.round(width * scale);
      this.canvas.height = Math.round(height * scale);
    }
    const style = getComputedStyle(this.canvas);
    const ink = (name) => style.getPropertyValue(name);
    const g = this.canvas.getContext("2d");
    g.setTransform(scale, 0, 0, scale, 0, 0);
    g.clearRect(0, 0, width, height);
    const middle = height / 2;
    const step = width / (SECONDS * PER_S);
    g.fillStyle = ink("--line");
    g.fillRect(0, middle - 0.5, width, 1);
    const from = SECONDS * PER_S - this.samples.length;
    this.samples.forEach((sample, i) => {
      const x = (from + i) * step;
      const bar = Math.max(1, step * 0.62);
      const half = middle - 3;
      if (sample.caller > 0.02) {
        g.fillStyle = ink("--caller");
        g.fillRect(x, middle - 1.5 - sample.caller * half, bar, sample.caller * half);
      }
      if (sample.agent > 0.02) {
        g.fillStyle = ink("--agent");
        g.fillRect(x, middle + 1.5, bar, sample.agent * half);
      }
      if (sample.mark) {
        g.fillStyle = ink("--barge");
        g.fillRect(x, 0, 2, height);
      }
    });
  }
}
