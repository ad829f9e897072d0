// The page's audio thread: the microphone cut into frames of 20 ms for the gateway, and what comes from it played evenly.

import { Resampler } from "./resampler.js";

const RATE = 16000;
const FRAME = 320;

const FIRST_CUSHION_MS = 60;
const LARGEST_CUSHION_MS = 300;
// More than this beyond the cushion is won back in pauses, and much more at once.
const SLACK_MS = 60;
const LATEST_MS = 1000;
const QUIET = 0.004;
const TELL_EVERY_MS = 60;

function power(samples) {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  return sum;
}

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = new Resampler(sampleRate, RATE);
    this.frame = new Int16Array(FRAME);
    this.filled = 0;
    this.power = 0;
  }

  process(inputs) {
    const samples = inputs[0][0];
    if (!samples) return true;
    const resampled = this.resampler.feed(samples);
    for (const sample of resampled) {
      const bounded = Math.max(-1, Math.min(1, sample));
      this.power += bounded * bounded;
      this.frame[this.filled++] = Math.round(bounded * 32767);
      if (this.filled === FRAME) {
        const pcm = this.frame.buffer;
        this.port.postMessage({ pcm, rms: Math.sqrt(this.power / FRAME) }, [pcm]);
        this.frame = new Int16Array(FRAME);
        this.filled = 0;
        this.power = 0;
      }
    }
    return true;
  }
}

class Playback extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = new Resampler(RATE, sampleRate);
    this.ring = new Float32Array(2 * sampleRate);
    this.begin = 0;
    this.count = 0;
    this.cushion = this.samples(FIRST_CUSHION_MS);
    this.playing = false;
    this.underruns = 0;
    this.power = 0;
    this.told = 0;
    this.port.onmessage = (event) => this.take(new Int16Array(event.data));
  }

  samples(ms) {
    return Math.round((ms * sampleRate) / 1000);
  }

  take(pcm) {
    const sound = new Float32Array(pcm.length);
    for (let index = 0; index < pcm.length; index++) sound[index] = pcm[index] / 32768;
    for (const sample of this.resampler.feed(sound)) {
      if (this.count === this.ring.length) this.skip(1);
      this.ring[(this.begin + this.count) % this.ring.length] = sample;
      this.count++;
    }
    if (this.count > this.cushion + this.samples(LATEST_MS)) this.skip(this.count - this.cushion);
  }

  skip(count) {
    this.begin = (this.begin + count) % this.ring.length;
    this.count -= count;
  }

  process(_, outputs) {
    const output = outputs[0][0];
    const need = output.length;
    if (!this.playing && this.count >= this.cushion) this.playing = true;
    if (this.playing && this.count < need) {
      // It came too late: wait for more before going on, and keep more from now on.
      this.playing = false;
      this.underruns++;
      this.cushion = Math.min(this.samples(LARGEST_CUSHION_MS), Math.round(this.cushion * 1.5));
    }
    if (this.playing) {
      for (let index = 0; index < need; index++) output[index] = this.ring[(this.begin + index) % this.ring.length];
      this.skip(need);
      const loud = power(output);
      this.power += loud;
      if (Math.sqrt(loud / need) < QUIET && this.count > this.cushion + this.samples(SLACK_MS) + need) this.skip(need);
    }
    this.told += need;
    if (this.told >= this.samples(TELL_EVERY_MS)) {
      const waiting = Math.round((this.count * 1000) / sampleRate);
      this.port.postMessage({ rms: Math.sqrt(this.power / this.told), waiting, underruns: this.underruns });
      this.power = 0;
      this.told = 0;
    }
    return true;
  }
}

registerProcessor("offhook-capture", Capture);
registerProcessor("offhook-playback", Playback);
