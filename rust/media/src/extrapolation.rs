//! A sound carried on beyond its end, by what it was made of: a spectrum (linear prediction) and an excitation that repeats.
use crate::likeness::{best_repeat, energy, product};

/// The highest rate, in Hz: codecs above it conceal by themselves.
pub const MAX_RATE: u32 = 16_000;
/// Shortest period that is looked for, in halves of a millisecond: 400 Hz.
const SHORTEST_HALF_MS: usize = 5;
/// Longest period: 66 Hz.
const LONGEST_MS: usize = 15;
/// The stretch of sound that period and spectrum are taken from.
const WINDOW_MS: usize = 20;
/// Sound beyond this makes no difference.
pub const USED_MS: usize = WINDOW_MS + LONGEST_MS;
/// With less than this nothing can be carried on.
pub const NEEDED_MS: usize = 10;
/// Below this likeness to itself a sound is taken as noise, above the other as voice.
const NOISE_BELOW: f32 = 0.3;
const VOICE_ABOVE: f32 = 0.7;
const MAX_ORDER: usize = 16;
const MAX_WINDOW: usize = WINDOW_MS * MAX_RATE as usize / 1_000;
const MAX_PERIOD: usize = LONGEST_MS * MAX_RATE as usize / 1_000;
/// Samples made at a time.
const BLOCK: usize = 64;

/// What a sound goes on as.
///
/// Making one costs about 20,000 multiplications at 8 kHz and 30,000 at 16 kHz; each sample of it 10 or 16.
#[derive(Clone, Copy, Debug)]
pub struct Extrapolation {
    order: usize,
    /// Coefficients, the one of the oldest sample first.
    prediction: [f32; MAX_ORDER],
    excitation: [f32; MAX_PERIOD],
    period: usize,
    /// Where in the period the next sample stands.
    place: usize,
    voiced: f32,
    /// The last samples, the newest last.
    memory: [f32; MAX_ORDER],
    peak: f32,
    random: u32,
}

impl Extrapolation {
    /// What goes on after `sound`, [`NEEDED_MS`] of it or more; [`USED_MS`] are best. `random` is for the sound of noise.
    pub fn of(sound: &[f32], per_ms: usize, random: u32) -> Self {
        let end = sound.len();
        let order = if per_ms <= 8 { 10 } else { MAX_ORDER };
        let spectrum = &sound[end - end.min(WINDOW_MS * per_ms)..];
        let window = (end / 2).min(WINDOW_MS * per_ms);
        let longest = (LONGEST_MS * per_ms).min(end - window);
        let lags = SHORTEST_HALF_MS * per_ms / 2..=longest;
        let repeat = best_repeat(&sound[end - window..], lags, per_ms / 8, |lag| {
            &sound[end - window - lag..end - lag]
        });
        let period = repeat.lag;
        let mut prediction = predict(spectrum, order);
        let mut excitation = [0.0; MAX_PERIOD];
        prediction[..order].reverse();
        for (n, out) in excitation[..period].iter_mut().enumerate() {
            let at = end - period + n;
            let before = &sound[at.saturating_sub(order)..at];
            *out = sound[at] + product(&prediction[order - before.len()..order], before);
        }
        let mut memory = [0.0; MAX_ORDER];
        memory[..order].copy_from_slice(&sound[end - order..]);
        let voiced = (repeat.likeness - NOISE_BELOW) / (VOICE_ABOVE - NOISE_BELOW);
        Extrapolation {
            order,
            prediction,
            excitation,
            period,
            place: 0,
            voiced: voiced.clamp(0.0, 1.0),
            memory,
            peak: spectrum
                .iter()
                .fold(0.0, |peak: f32, sample| peak.max(sample.abs())),
            random: random | 1,
        }
    }

    /// The next samples.
    pub fn make(&mut self, out: &mut [f32]) {
        let mut line = [0.0; MAX_ORDER + BLOCK];
        for out in out.chunks_mut(BLOCK) {
            line[..self.order].copy_from_slice(&self.memory[..self.order]);
            for (n, out) in out.iter_mut().enumerate() {
                let predicted = product(&self.prediction[..self.order], &line[n..n + self.order]);
                let sample = self.excite() - predicted;
                *out = sample.clamp(-self.peak, self.peak);
                line[n + self.order] = *out;
            }
            self.memory[..self.order].copy_from_slice(&line[out.len()..out.len() + self.order]);
        }
    }

    fn excite(&mut self) -> f32 {
        let periodic = self.excitation[self.place];
        self.place = (self.place + 1) % self.period;
        // The same excitation at a place and with a sign of chance: noise as loud as the sound was.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        let noise = self.excitation[(self.random >> 8) as usize % self.period];
        let noise = if self.random & 1 == 0 { noise } else { -noise };
        self.voiced * periodic + (1.0 - self.voiced * self.voiced).sqrt() * noise
    }
}

/// The coefficients `a` of `x[n] + a[0] x[n-1] + … ≈ 0` (Levinson and Durbin on the autocorrelation of a windowed piece).
fn predict(piece: &[f32], order: usize) -> [f32; MAX_ORDER] {
    let mut windowed = [0.0; MAX_WINDOW];
    let windowed = &mut windowed[..piece.len()];
    let length = piece.len() as f32;
    for (n, (out, &sample)) in windowed.iter_mut().zip(piece).enumerate() {
        let place = (n as f32 + 0.5) / length;
        *out = sample * 4.0 * place * (1.0 - place);
    }
    let mut coefficients = [0.0; MAX_ORDER];
    // A little white noise keeps the recursion away from dividing by nothing.
    let mut error = energy(windowed) * 1.0001 + 1.0;
    let mut correlation = [0.0; MAX_ORDER + 1];
    for (lag, out) in correlation.iter_mut().enumerate().take(order + 1).skip(1) {
        *out = product(&windowed[lag..], &windowed[..windowed.len() - lag]);
    }
    for m in 0..order {
        let known: f32 = (0..m).map(|k| coefficients[k] * correlation[m - k]).sum();
        let reflection = -(correlation[m + 1] + known) / error;
        let before = coefficients;
        for k in 0..m {
            coefficients[k] += reflection * before[m - 1 - k];
        }
        coefficients[m] = reflection;
        error *= 1.0 - reflection * reflection;
    }
    coefficients
}
