// The microphone and the loudspeaker of one call.

export class MicrophoneError extends Error {
  constructor(title, text, hint) {
    super(text);
    this.title = title;
    this.hint = hint;
  }
}

// Why a browser gives no microphone, in plain words.
function explained(error) {
  switch (error?.name) {
    case "NotAllowedError":
    case "SecurityError":
      return new MicrophoneError(
        "The microphone is blocked",
        "This page may not use the microphone: it was refused just now or before, or the system blocks the browser.",
        "Allow it by the sign at the left of the address bar (or in the system's privacy settings), then call again.",
      );
    case "NotFoundError":
    case "OverconstrainedError":
      return new MicrophoneError(
        "There is no microphone",
        "The browser finds no microphone on this machine.",
        "Plug one in or choose one in the system's sound settings, then call again.",
      );
    case "NotReadableError":
    case "AbortError":
      return new MicrophoneError(
        "The microphone can't be opened",
        "Another program has it, or the system does not let it be opened.",
        "Close the other program, then call again.",
      );
    default:
      return new MicrophoneError("There is no sound", String(error?.message || error), "Try another browser.");
  }
}

// What stands against calling from this page at all; null where nothing does.
export function insecure() {
  if (window.isSecureContext && navigator.mediaDevices?.getUserMedia) return null;
  const { protocol, port, hash, pathname } = window.location;
  const local = `http://localhost${port ? `:${port}` : ""}${pathname}${hash}`;
  return new MicrophoneError(
    "The microphone needs localhost or HTTPS",
    protocol === "https:"
      ? "This browser gives web pages no microphone."
      : "Browsers give a page the microphone only on localhost or over HTTPS, and this one came over plain HTTP from another address.",
    protocol === "https:"
      ? "Try a current Chrome, Edge, Firefox or Safari."
      : `On the gateway's own machine open ${local}. From another one, forward the port (ssh -L ${port || 80}:localhost:${port || 80} THAT-MACHINE) and open the same, or put HTTPS in front of the gateway.`,
  );
}

export class Sound {
  // `onFrame(pcm)` gets the microphone's frames, `onLevel(mine, theirs)` levels as root mean squares (null: unchanged),
  // `onGone()` is told when the microphone goes away.
  static async open({ onFrame, onLevel, onGone }) {
    const problem = insecure();
    if (problem) throw problem;
    const sound = new Sound();
    try {
      sound.stream = await navigator.mediaDevices.getUserMedia({
        audio: { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true },
      });
      sound.context = new AudioContext({ latencyHint: "interactive" });
      await sound.context.audioWorklet.addModule("talk/worklet.js");
      if (sound.context.state === "suspended") await sound.context.resume();
    } catch (error) {
      sound.close();
      throw explained(error);
    }
    const shape = { channelCount: 1, channelCountMode: "explicit" };
    const capture = new AudioWorkletNode(sound.context, "offhook-capture", { ...shape, numberOfOutputs: 0 });
    sound.playback = new AudioWorkletNode(sound.context, "offhook-playback", {
      ...shape,
      numberOfInputs: 0,
      outputChannelCount: [1],
    });
    capture.port.onmessage = ({ data }) => {
      onLevel(data.rms, null);
      onFrame(data.pcm);
    };
    sound.playback.port.onmessage = ({ data }) => onLevel(null, data.rms);
    sound.context.createMediaStreamSource(sound.stream).connect(capture);
    sound.playback.connect(sound.context.destination);
    for (const track of sound.stream.getTracks()) track.onended = onGone;
    return sound;
  }

  play(pcm) {
    this.playback.port.postMessage(pcm, [pcm]);
  }

  close() {
    for (const track of this.stream?.getTracks() ?? []) {
      track.onended = null;
      track.stop();
    }
    if (this.context && this.context.state !== "closed") this.context.close();
  }
}
