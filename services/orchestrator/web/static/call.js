// One WebRTC call to this server: microphone, offer and answer, connection, keypad, event stream.
// Every failure is a CallError with a title and what to do about it.

const GATHER_MS = 2000;
const CONNECT_MS = 12000;

export class CallError extends Error {
  constructor(title, advice, retryAfterS = 0) {
    super(title);
    this.title = title;
    this.advice = advice;
    this.retryAfterS = retryAfterS;
  }
}

// hooks: onPhase(name), onEvent(event), onReplay(), onStream(stream), onStreamLost(bool), onEnd(CallError | null)
export class Call {
  constructor(hooks) {
    this.hooks = hooks;
    this.over = false;
    this.retries = 0;
  }

  async start(stun) {
    this.hooks.onPhase("asking");
    this.microphone = await openMicrophone();
    if (this.over) return this.release();
    this.hooks.onMicrophone(this.microphone);
    this.hooks.onPhase("connecting");
    this.peer = new RTCPeerConnection({ bundlePolicy: "max-bundle", iceServers: stun.length ? [{ urls: stun }] : [] });
    const transceiver = this.peer.addTransceiver(this.microphone.getAudioTracks()[0], { direction: "sendrecv", streams: [this.microphone] });
    // The least delay the browser allows: this is a conversation, not a broadcast.
    if ("jitterBufferTarget" in transceiver.receiver) transceiver.receiver.jitterBufferTarget = 20;
    this.keys = this.peer.createDataChannel("keypad");
    this.peer.ontrack = ({ track, streams }) => this.hooks.onStream(streams[0] ?? new MediaStream([track]));
    await this.peer.setLocalDescription();
    await gathered(this.peer);
    if (this.over) return this.release();
    const answer = await post("/api/webrtc/offer", { sdp: this.peer.localDescription.sdp, type: "offer" });
    Object.assign(this, { id: answer.call_id, token: answer.token });
    if (this.over) return this.hangUp();
    await this.peer.setRemoteDescription({ type: "answer", sdp: answer.sdp });
    this.follow();
    await connected(this.peer);
    this.hooks.onPhase("live");
    this.peer.onconnectionstatechange = () => this.onConnection();
  }

  onConnection() {
    const state = this.peer.connectionState;
    this.hooks.onStreamLost(state === "disconnected");
    if (state === "failed") this.finish(new CallError("The connection broke", "Check your network, then start again."));
    // The server hung up: its last words about why come over the event stream.
    if (state === "closed") this.finish(null);
  }

  // The event stream; a broken one is opened again and replays from the start.
  follow() {
    const url = new URL(`/api/calls/${this.id}/events`, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    url.searchParams.set("token", this.token);
    this.socket = new WebSocket(url);
    this.socket.onopen = () => this.hooks.onReplay();
    this.socket.onmessage = ({ data }) => {
      const event = JSON.parse(data);
      this.hooks.onEvent(event);
      if (event.type === "CallEnded") this.finish(null);
    };
    this.socket.onclose = () => {
      if (!this.over && this.retries++ < 5) setTimeout(() => this.over || this.follow(), 500 * this.retries);
    };
  }

  press(digit) {
    if (this.keys?.readyState === "open") this.keys.send(JSON.stringify({ dtmf: digit }));
  }

  mute(on) {
    for (const track of this.microphone?.getAudioTracks() ?? []) track.enabled = !on;
  }

  async network() {
    if (!this.peer || this.peer.connectionState !== "connected") return null;
    const found = {};
    for (const report of (await this.peer.getStats()).values()) {
      if (report.type === "inbound-rtp" && report.kind === "audio") Object.assign(found, report);
      if (report.type === "candidate-pair" && report.nominated && report.currentRoundTripTime !== undefined) found.rtt = report.currentRoundTripTime * 1000;
    }
    if (!found.jitterBufferEmittedCount) return null;
    return { rttMs: found.rtt, bufferMs: (found.jitterBufferDelay / found.jitterBufferEmittedCount) * 1000, lost: found.packetsLost, received: found.packetsReceived };
  }

  hangUp() {
    if (this.id && !this.over) fetch(`/api/calls/${this.id}?token=${encodeURIComponent(this.token)}`, { method: "DELETE", keepalive: true }).catch(() => {});
    this.finish(null);
  }

  finish(error) {
    if (this.over) return;
    this.over = true;
    this.release();
    this.hooks.onEnd(error);
  }

  release() {
    for (const track of this.microphone?.getTracks() ?? []) track.stop();
    if (this.peer) this.peer.onconnectionstatechange = null;
    this.peer?.close();
    // Let the last events in: the log ends with CallEnded and the server closes.
    setTimeout(() => this.socket?.close(), 1500);
  }
}

async function openMicrophone() {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new CallError(
      "This page may not use the microphone",
      `Browsers give the microphone to https:// pages and to localhost only, and this is ${location.origin}. Open the page over https, or forward the port: ssh -L ${location.port || 8080}:localhost:${location.port || 8080} this-server, then http://localhost:${location.port || 8080}.`,
    );
  }
  const audio = { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true };
  try {
    return await navigator.mediaDevices.getUserMedia({ audio });
  } catch (error) {
    throw MICROPHONE[error.name] ?? new CallError("The microphone could not be opened", `The browser says: ${error.message || error.name}. Check the system's sound settings.`);
  }
}

const MICROPHONE = {
  NotAllowedError: new CallError("The microphone is blocked", "Allow it for this site: use the icon beside the address, then start again."),
  NotFoundError: new CallError("No microphone found", "Plug one in or switch it on, then start again."),
  NotReadableError: new CallError("The microphone is taken", "Another program holds it. Close that program, then start again."),
};

function gathered(peer) {
  if (peer.iceGatheringState === "complete") return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, GATHER_MS);
    peer.onicegatheringstatechange = () => {
      if (peer.iceGatheringState !== "complete") return;
      clearTimeout(timer);
      resolve();
    };
  });
}

function connected(peer) {
  return new Promise((resolve, reject) => {
    const failed = new CallError("No way through for sound", "The server answered, but no audio path could be made. A firewall or VPN may block UDP between you and this server; ask its operator about orchestrator.webrtc.ice_servers.");
    const timer = setTimeout(() => reject(failed), CONNECT_MS);
    const look = () => {
      if (!["connected", "failed", "closed"].includes(peer.connectionState)) return;
      clearTimeout(timer);
      if (peer.connectionState === "connected") resolve();
      else reject(failed);
    };
    peer.onconnectionstatechange = look;
    look();
  });
}

async function post(url, body) {
  let response;
  try {
    response = await fetch(url, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  } catch {
    throw new CallError("The server cannot be reached", "It may be starting or stopped. Reload this page in a moment.");
  }
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  const retry = Number(response.headers.get("Retry-After")) || 0;
  const { code, message = `HTTP ${response.status}`, remedy = "" } = answer.error ?? {};
  if (code === "overloaded" || response.status === 429) throw new CallError("All lines are busy", `Calls in progress come first. Try again in ${retry || 5} seconds.`, retry || 5);
  if (response.status === 503) throw new CallError("Not ready for calls", `${message} ${remedy}`, retry || 5);
  throw new CallError("The call was refused", `${message} ${remedy}`);
}
