// Sound from one sample rate to another, piece by piece: a windowed sinc whose cut-off lies below the lower of the two.

const ZERO_CROSSINGS = 12;
const PHASES = 512;
const ROOM = 0.92;

export class Resampler {
  constructor(from, to) {
    this.step = from / to;
    const cutoff = Math.min(1, to / from) * ROOM;
    this.half = Math.ceil(ZERO_CROSSINGS / cutoff);
    this.taps = 2 * this.half;
    this.table = new Float32Array((PHASES + 1) * this.taps);
    for (let phase = 0; phase <= PHASES; phase++) {
      for (let tap = 0; tap < this.taps; tap++) {
        const x = tap - this.half + 1 - phase / PHASES;
        const angle = Math.PI * cutoff * x;
        const sinc = x === 0 ? cutoff : (cutoff * Math.sin(angle)) / angle;
        const window = Math.abs(x) < this.half ? 0.5 + 0.5 * Math.cos((Math.PI * x) / this.half) : 0;
        this.table[phase * this.taps + tap] = sinc * window;
      }
    }
    this.pending = new Float32Array(this.half);
    this.at = this.half;
  }

  // The next piece; what comes back is as much as can be said of it.
  feed(samples) {
    if (this.step === 1) return samples;
    const { half, taps, table, step } = this;
    const input = new Float32Array(this.pending.length + samples.length);
    input.set(this.pending);
    input.set(samples, this.pending.length);
    const last = input.length - half - 1;
    const count = Math.max(0, Math.floor((last - this.at) / step) + 1);
    const output = new Float32Array(count);
    let at = this.at;
    for (let index = 0; index < count; index++, at += step) {
      const whole = Math.floor(at);
      const row = Math.round((at - whole) * PHASES) * taps;
      const first = whole - half + 1;
      let sum = 0;
      for (let tap = 0; tap < taps; tap++) sum += input[first + tap] * table[row + tap];
      output[index] = sum;
    }
    const keep = Math.max(0, Math.floor(at) - half + 1);
    this.pending = input.slice(keep);
    this.at = at - keep;
    return output;
  }
}
