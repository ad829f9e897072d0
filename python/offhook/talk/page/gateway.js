// What the page asks of the gateway: who can be called, and a call, whose sound and news come over one WebSocket.

const SUBPROTOCOL = "offhook.talk.v1";
const AUDIO = 1;
const CONTROL = 2;
const HEADER = 12;
// Bytes of the microphone's sound that may wait for the network, 0.6 s: late sound is worth nothing.
const MOST_WAITING = 19200;

export class GatewayError extends Error {
  constructor(message, hint = "", code = "") {
    super(message);
    this.hint = hint;
    this.code = code;
  }
}

async function ask(token, method, body) {
  let answer;
  try {
    answer = await fetch("v1/talk", {
      method,
      headers: { Authorization: `Bearer ${token}`, ...(body ? { "Content-Type": "application/json" } : {}) },
      body: body && JSON.stringify(body),
      cache: "no-store",
      credentials: "omit",
    });
  } catch {
    throw new GatewayError("The gateway does not answer.", "Is it still running, and does the network reach it?", "gone");
  }
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    throw new GatewayError(said.message || `The gateway answered ${answer.status}.`, said.hint || "", said.code || "");
  }
  return said;
}

export const whatCanBeCalled = (token) => ask(token, "GET");

export class Call {
  // `onNews(message)` gets what the gateway tells, `onSound(pcm)` what is heard, `onClosed(code, reason)` the end.
  static async place(token, choice, line, { onNews, onSound, onClosed }) {
    const { ticket } = await ask(token, "POST", { choice, line });
    const url = new URL("v1/talk", window.location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    url.hash = "";
    const call = new Call();
    call.socket = new WebSocket(url, [SUBPROTOCOL, `ticket.${ticket}`]);
    call.socket.binaryType = "arraybuffer";
    call.number = null;
    call.dropped = 0;
    call.socket.onmessage = ({ data }) => {
      if (typeof data === "string") onNews(JSON.parse(data));
      else call.take(data, onNews, onSound);
    };
    call.socket.onclose = ({ code, reason }) => onClosed(code, reason);
    return call;
  }

  // A message is any number of records: kind and length, number of the call, position, payload.
  take(message, onNews, onSound) {
    const view = new DataView(message);
    for (let at = 0; at + HEADER <= message.byteLength; ) {
      const first = view.getUint32(at);
      const kind = first >>> 24;
      const end = at + HEADER + (first & 0xffffff);
      if (end > message.byteLength) return;
      if (this.number === null) this.number = view.getUint32(at + 4);
      const payload = message.slice(at + HEADER, end);
      if (kind === AUDIO) onSound(payload);
      else if (kind === CONTROL) onNews(JSON.parse(new TextDecoder().decode(payload)));
      at = end;
    }
  }

  record(kind, payload) {
    if (this.number === null || this.socket.readyState !== WebSocket.OPEN) return;
    const message = new Uint8Array(HEADER + payload.byteLength);
    const view = new DataView(message.buffer);
    view.setUint32(0, (kind << 24) | payload.byteLength);
    view.setUint32(4, this.number);
    message.set(new Uint8Array(payload), HEADER);
    this.socket.send(message);
  }

  speak(pcm) {
    if (this.socket.bufferedAmount > MOST_WAITING) this.dropped++;
    else this.record(AUDIO, pcm);
  }

  press(digit) {
    this.record(CONTROL, new TextEncoder().encode(JSON.stringify({ type: "dtmf", digits: digit })));
  }

  hangUp() {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify({ type: "hang_up" }));
    else this.socket.close();
  }

  close() {
    this.socket.close();
  }
}
