//! What of our own voice comes back: an echo is no caller.
//!
//! What has left is remembered as powers of bands for half a second and a little more. How much of it the line returns is bounded from what was
//! heard: an echo of the loudest sound of half a second has come back within the next, so it is no louder, in each band, than the loudest that was
//! heard in both. The least of these bounds of the last seconds is the line's; before anything is known it is taken to be [`UNKNOWN`]. Where the
//! echo comes from is found by how alike the levels of the bands of what was sent and of what was heard rise and fall; once that is clear only
//! what left just then explains what is heard now, else all of the half second does. A delay that was clear is kept while the caller speaks, too.
use super::bands::{self, BANDS, Bands};
use super::half_band::HalfBand;
use super::spectrum::{self, WINDOW};
use crate::clock::Time;
use std::time::Duration;

/// Steps of 20 ms that are remembered: an echo may come after as much.
const STEPS: usize = 28;
/// Samples of a step at 8 kHz.
const STEP: usize = 160;
const STEP_TIME: Duration = Duration::from_millis(20);
/// The longest delay of an echo, in steps: 500 ms.
const LONGEST: usize = 25;
/// The half second in which the loudest is looked for, in samples.
const HALF: u32 = 4_000;
/// Bounds of the past that count: 4 s in which we spoke.
const BOUNDS: usize = 8;
/// The power that comes back of each band as long as nothing is known: -6 dB.
const UNKNOWN: f32 = 0.25;
/// What most lines return at most: -15 dB.
const USUAL: f32 = 0.03;
/// A band is loud enough to judge an echo by, as mean power of its bins: -70 dBov.
const LOUD: f32 = 1e-7;
/// What is heard may be so much louder than the bound, whose parts are measured at other moments: 2.5 dB.
const MARGIN: f32 = 1.8;
/// How alike levels must be for a delay to be clear, and how much more than at others.
const ALIKE: f32 = 0.45;
const CLEARLY: f32 = 0.08;
/// How much the levels of a band must vary, as mean of squares of decibels.
const LIVELY: f32 = 4.0;
/// How much a sample counts in how alike they are: 1.5 s.
const SHARE: f32 = 1.0 / 12_000.0;
/// Samples for which a delay must have been clear: what a caller says may be like what we said for a moment.
const STAYS: u32 = 4_000;
/// It holds for so many more in which it is not, since a caller who speaks over us hides it: 3 s.
const HOLDS: u32 = 24_000;
/// Steps around a delay that count as the same: a line is uneven, and a sound between two steps is louder than either shows.
const AROUND: usize = 3;
/// An echo fades by half in each step, as in a room where sound lasts 0.4 s, and is gone after so many.
const FADES: f32 = 0.5;
const TAIL: usize = 4;

/// What one leg has sent, and what the line makes of it.
#[derive(Debug)]
pub struct OwnVoice {
    /// The last window of what was sent, 8 kHz.
    sent: [f32; WINDOW],
    half_band: HalfBand,
    fresh: usize,
    /// Powers and levels of the steps sent, a ring; `next` is where the next will be, and `ended` when the last ended.
    powers: Box<[Bands; STEPS]>,
    levels: Box<[Bands; STEPS]>,
    next: usize,
    ended: Time,
    /// Steps since anything was sent that was no silence.
    silent: usize,
    /// Samples heard since we began to speak.
    speaking: u32,
    /// Of the half second that runs, so far in samples, and of the one before: the loudest sent and heard.
    half: u32,
    loudest_sent: [Bands; 2],
    loudest_heard: [Bands; 2],
    bounds: [Bands; BOUNDS],
    bound: Bands,
    /// Samples compared so far.
    compared: u32,
    /// Means of levels; of all bands together what they vary by, and their products at each delay.
    mean_sent: Bands,
    mean_heard: Bands,
    square_sent: f32,
    square_heard: f32,
    products: [f32; LONGEST + 1],
    /// The delay that was the clearest last, and for how many samples.
    candidate: usize,
    stayed: u32,
    delay: Option<usize>,
    /// Samples since that was clear.
    unclear: u32,
}

impl Default for OwnVoice {
    fn default() -> Self {
        Self {
            sent: [0.0; WINDOW],
            half_band: HalfBand::default(),
            fresh: 0,
            powers: Box::new([[0.0; BANDS]; STEPS]),
            levels: Box::new([[QUIET; BANDS]; STEPS]),
            next: 0,
            ended: Time::ZERO,
            silent: STEPS,
            speaking: 0,
            half: 0,
            loudest_sent: [[0.0; BANDS]; 2],
            loudest_heard: [[0.0; BANDS]; 2],
            bounds: [[UNKNOWN; BANDS]; BOUNDS],
            bound: [UNKNOWN; BANDS],
            compared: 0,
            mean_sent: [0.0; BANDS],
            mean_heard: [0.0; BANDS],
            square_sent: 0.0,
            square_heard: 0.0,
            products: [0.0; LONGEST + 1],
            candidate: 0,
            stayed: 0,
            delay: None,
            unclear: 0,
        }
    }
}

/// The level of silence in a band, as [`levels`] has it, in decibels: the noise of a quiet line.
const QUIET: f32 = -80.0;

/// The level of each band.
fn levels(bands: &Bands) -> Bands {
    // 10 dB are a tenth of a power of ten, and 3.32 powers of two.
    bands.map(|power| (3.010_3 * (power + 1e-12).log2()).max(QUIET))
}

impl OwnVoice {
    /// Nothing sent yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The delay of the echo, if there is one and it is clear.
    pub fn delay(&self) -> Option<Duration> {
        self.delay.map(|steps| STEP_TIME * steps as u32)
    }

    /// Sound leaves at `now`, at 8 or 16 kHz. Silence is told by [`OwnVoice::sent_silence`].
    pub fn sent(&mut self, now: Time, pcm: &[i16], rate: u32) {
        let factor = if rate >= 16_000 { 2 } else { 1 };
        for piece in pcm.chunks(factor * STEP) {
            let mut samples = [0.0; STEP];
            let samples = &mut samples[..piece.len() / factor];
            if factor == 2 {
                self.half_band.halve(piece, samples);
            } else {
                for (out, &sample) in samples.iter_mut().zip(piece) {
                    *out = f32::from(sample) / 32_768.0;
                }
            }
            let count = samples.len().min(STEP - self.fresh);
            self.take(&samples[..count], now);
            self.take(&samples[count..], now);
        }
    }

    fn take(&mut self, samples: &[f32], now: Time) {
        if samples.is_empty() {
            return;
        }
        self.sent.copy_within(samples.len().., 0);
        self.sent[WINDOW - samples.len()..].copy_from_slice(samples);
        self.fresh += samples.len();
        if self.fresh >= STEP {
            self.fresh = 0;
            if self.silent >= STEPS {
                self.speaking = 0;
            }
            self.silent = 0;
            let powers = bands::of(&spectrum::powers(&self.sent));
            self.push(powers, now);
        }
    }

    /// So many samples of silence leave at `now`.
    pub fn sent_silence(&mut self, now: Time, samples: usize) {
        if self.silent >= STEPS {
            return;
        }
        for _ in 0..(self.fresh + samples) / STEP {
            self.sent = [0.0; WINDOW];
            self.silent += 1;
            self.push([0.0; BANDS], now);
        }
        self.fresh = (self.fresh + samples) % STEP;
    }

    fn push(&mut self, powers: Bands, now: Time) {
        self.powers[self.next] = powers;
        self.levels[self.next] = levels(&powers);
        self.next = (self.next + 1) % STEPS;
        self.ended = now;
    }

    /// Where in the ring is what left so many steps before `now`.
    fn at(&self, now: Time, steps: usize) -> usize {
        let since = ((now - self.ended).as_millis() / STEP_TIME.as_millis()) as usize;
        // What has not left by now was silence; the oldest has been that for longest.
        let back = (steps.saturating_sub(since) + 1).min(STEPS);
        (self.next + STEPS - back) % STEPS
    }

    /// What may be heard of it at `now`, as powers of bands; `None` if we have been silent.
    pub fn expected(&self, now: Time) -> Option<Bands> {
        let loudest = self.loudest(now)?;
        Some(std::array::from_fn(|band| {
            MARGIN * self.bound[band] * loudest[band]
        }))
    }

    /// How loud it may come back at `now`, in dBov; of what nobody knows yet, as most lines return it.
    pub fn echo_level(&self, now: Time) -> f32 {
        let Some(loudest) = self.loudest(now) else {
            return f32::NEG_INFINITY;
        };
        let most = if self.delay.is_none() { USUAL } else { 1.0 };
        let echo: Bands = std::array::from_fn(|band| self.bound[band].min(most) * loudest[band]);
        10.0 * bands::total(&echo).log10()
    }

    /// The loudest of what left so long ago that it may be heard at `now`; `None` if we have been silent.
    fn loudest(&self, now: Time) -> Option<Bands> {
        if self.silent >= STEPS {
            return None;
        }
        let (first, last) = match self.delay {
            Some(delay) => (delay.saturating_sub(AROUND), delay + AROUND),
            None => (0, LONGEST + 1),
        };
        let mut loudest = [0.0_f32; BANDS];
        let mut share = 1.0;
        for delay in first..=(last + TAIL).min(STEPS - 1) {
            if delay > last {
                share *= FADES;
            }
            let powers = &self.powers[self.at(now, delay)];
            for (loudest, power) in loudest.iter_mut().zip(powers) {
                *loudest = loudest.max(share * *power);
            }
        }
        Some(loudest)
    }

    /// So many samples were heard up to `now`; what they were teaches how much comes back.
    pub fn heard(&mut self, now: Time, samples: u32, powers: &Bands) {
        if self.silent >= STEPS {
            return;
        }
        self.speaking = self.speaking.saturating_add(samples);
        // Where we begin after a silence, the levels rise alike at any delay.
        if self.speaking > HALF {
            self.compare(now, samples, &levels(powers));
        }
        let sent = self.powers[self.at(now, 0)];
        for band in 0..BANDS {
            self.loudest_sent[0][band] = self.loudest_sent[0][band].max(sent[band]);
            self.loudest_heard[0][band] = self.loudest_heard[0][band].max(powers[band]);
        }
        self.half += samples;
        if self.half >= HALF {
            self.half = 0;
            self.conclude();
        }
    }

    /// Half a second is over: its own loudest and that of the one before bound what came back of the one before.
    fn conclude(&mut self) {
        let [now, before] = self.loudest_sent;
        if before.iter().filter(|power| **power > LOUD).count() > BANDS / 2 {
            self.bounds.rotate_right(1);
            let [heard, heard_before] = self.loudest_heard;
            for (band, &sent) in before.iter().enumerate() {
                // A band that was not loud enough says nothing new.
                self.bounds[0][band] = if sent > LOUD {
                    (heard[band].max(heard_before[band]) / sent).min(1.0)
                } else {
                    self.bounds[1][band]
                };
            }
            // Where nearly all that is heard is an echo, the line may return more than before.
            let count = if self.stayed >= STAYS { 3 } else { BOUNDS };
            for band in 0..BANDS {
                let bounds = self.bounds[..count].iter().map(|bound| bound[band]);
                self.bound[band] = bounds.fold(1.0, f32::min);
            }
        }
        self.loudest_sent = [[0.0; BANDS], now];
        self.loudest_heard = [[0.0; BANDS], self.loudest_heard[0]];
    }

    /// How alike the levels heard are to those sent, at each delay.
    fn compare(&mut self, now: Time, samples: u32, heard: &Bands) {
        self.compared = self.compared.saturating_add(samples);
        // At first all that there is counts alike.
        let share = samples as f32 * SHARE.max(1.0 / self.compared as f32);
        let newest = self.at(now, 0);
        let mut varies = [0.0; BANDS];
        let (mut square_sent, mut square_heard) = (0.0, 0.0);
        for (band, varies) in varies.iter_mut().enumerate() {
            let sent = self.levels[newest][band];
            self.mean_sent[band] += (sent - self.mean_sent[band]) * share;
            self.mean_heard[band] += (heard[band] - self.mean_heard[band]) * share;
            *varies = heard[band] - self.mean_heard[band];
            square_sent += (sent - self.mean_sent[band]).powi(2);
            square_heard += varies.powi(2);
        }
        self.square_sent += (square_sent - self.square_sent) * share;
        self.square_heard += (square_heard - self.square_heard) * share;
        for delay in 0..=LONGEST {
            let sent = &self.levels[self.at(now, delay)];
            let both = sent.iter().zip(&self.mean_sent).zip(&varies);
            let product: f32 = both
                .map(|((sent, mean), varies)| (sent - mean) * varies)
                .sum();
            self.products[delay] += (product - self.products[delay]) * share;
        }
        let scale = (self.square_sent * self.square_heard).sqrt();
        let all = self.products.iter().enumerate();
        let (best, product) = all.fold((0, 0.0), |best, (delay, product)| {
            if *product > best.1 {
                (delay, *product)
            } else {
                best
            }
        });
        let others = self.products.iter().enumerate();
        let other = others
            .filter(|(delay, _)| delay.abs_diff(best) > AROUND)
            .fold(0.0_f32, |most, (_, product)| most.max(*product));
        // Noise that hardly rises and falls is like anything.
        let least = LIVELY * BANDS as f32;
        let lively = self.square_heard > least && self.square_sent > least;
        let clear = lively && product > ALIKE * scale && product - other > CLEARLY * scale;
        self.stayed = match clear && best.abs_diff(self.candidate) <= 1 {
            true => self.stayed.saturating_add(samples),
            false => 0,
        };
        self.candidate = best;
        if self.stayed >= STAYS {
            self.delay = Some(best);
            self.unclear = 0;
        } else {
            self.unclear = self.unclear.saturating_add(samples);
            if self.unclear >= HOLDS {
                self.delay = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sound whose level changes with each step, from a seed.
    struct Voice(u64);

    impl Voice {
        fn unit(&mut self) -> f32 {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (self.0 >> 40) as f32 / (1 << 24) as f32
        }

        fn step(&mut self) -> [i16; STEP] {
            let loud = 8_000.0 * self.unit().powi(2);
            std::array::from_fn(|_| (loud * (self.unit() - 0.5)) as i16)
        }
    }

    /// A line that returns what we say `delay` steps later, 10 dB lower, while somebody else may speak.
    struct Line {
        own: OwnVoice,
        us: Voice,
        them: Voice,
        sent: Vec<[i16; STEP]>,
        heard: [f32; WINDOW],
        now: Time,
    }

    impl Line {
        fn new() -> Self {
            Self {
                own: OwnVoice::new(),
                us: Voice(1),
                them: Voice(2),
                sent: Vec::new(),
                heard: [0.0; WINDOW],
                now: Time::ZERO,
            }
        }

        fn run(&mut self, seconds: usize, delay: usize, they_speak: bool) {
            for _ in 0..seconds * 50 {
                self.now += STEP_TIME;
                let sent = self.us.step();
                self.own.sent(self.now, &sent, 8_000);
                self.sent.push(sent);
                let echo = self.sent.len().checked_sub(1 + delay);
                let echo = echo.map_or([0; STEP], |at| self.sent[at]);
                let them = self.them.step();
                let other = if they_speak { 1.0 } else { 0.0 };
                self.heard.copy_within(STEP.., 0);
                let fresh = self.heard[WINDOW - STEP..].iter_mut();
                for ((heard, echo), them) in fresh.zip(echo).zip(them) {
                    *heard = (0.316 * f32::from(echo) + other * f32::from(them)) / 32_768.0;
                }
                let powers = bands::of(&spectrum::powers(&self.heard));
                self.own.heard(self.now, STEP as u32, &powers);
            }
        }
    }

    #[test]
    fn the_delay_of_an_echo_is_found_and_kept_while_somebody_speaks_over_it() {
        for delay in [1, 7, 20] {
            let mut line = Line::new();
            line.run(3, delay, false);
            let found = line.own.delay().expect("it is clear");
            assert!(
                found.abs_diff(STEP_TIME * delay as u32) <= STEP_TIME,
                "{found:?}"
            );
            line.run(2, delay, true);
            assert_eq!(line.own.delay(), Some(found));
        }
    }

    #[test]
    fn another_delay_is_found_and_none_is_forgotten() {
        let mut line = Line::new();
        line.run(3, 4, false);
        line.run(6, 15, false);
        let found = line.own.delay().expect("it is clear");
        assert!(found.abs_diff(STEP_TIME * 15) <= STEP_TIME, "{found:?}");
        // No echo at all, but somebody who speaks on and on.
        line.run(9, 10_000, true);
        assert_eq!(line.own.delay(), None);
    }
}
