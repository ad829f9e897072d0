//! Sound made a little shorter or longer without changing its pitch: a piece that repeats itself is left out or said twice, and the
//! places are cross-faded (overlap-add at the sound's own period).
//!
//! Cost of one cut or insertion: at most 14,000 multiplications at 8 kHz, 30,000 at 16 kHz. Nothing is allocated.
use crate::extrapolation::MAX_RATE;
use crate::likeness::{best_repeat, energy};

/// The longest piece that is worked on at once.
pub const MAX_MS: usize = 60;
/// The shortest repeat, in halves of a millisecond.
const SHORTEST_HALF_MS: usize = 5;
/// The longest.
pub const LONGEST_MS: usize = 15;
/// What is compared.
const COMPARED_MS: usize = 5;
/// A piece with a root mean square below this (-54 dBFS) may be cut anywhere.
const QUIET: f32 = 64.0;
const MAX_SAMPLES: usize = MAX_MS * MAX_RATE as usize / 1_000;

/// Leaves out one repeat of `sound`, at most `most` samples, if there is one that is like it by `alike` or the sound is quiet. The rest moves to the front;
/// returns how many samples were left out.
pub fn shorten(sound: &mut [i16], per_ms: usize, most: usize, alike: f32) -> usize {
    let compared = COMPARED_MS * per_ms;
    let length = sound.len();
    let shortest = SHORTEST_HALF_MS * per_ms / 2;
    let longest = most
        .min(LONGEST_MS * per_ms)
        .min(length.saturating_sub(compared));
    let longest = longest - longest % (per_ms / 8);
    if longest < shortest || length > MAX_SAMPLES {
        return 0;
    }
    let mut samples = [0.0; MAX_SAMPLES];
    let samples = &mut samples[..length];
    for (out, &sample) in samples.iter_mut().zip(sound.iter()) {
        *out = f32::from(sample);
    }
    let quiet = energy(samples) < QUIET * QUIET * length as f32;
    let cut = if quiet {
        longest
    } else {
        let found = best_repeat(
            &samples[..compared],
            shortest..=longest,
            per_ms / 8,
            |lag| &samples[lag..lag + compared],
        );
        if found.likeness < alike {
            return 0;
        }
        // Whole ticks of 8 kHz, so that places in the sound keep their names.
        found.lag - found.lag % (per_ms / 8)
    };
    let fade = cut.clamp(compared, length - cut);
    for n in 0..fade {
        let share = (n + 1) as f32 / (fade + 1) as f32;
        sound[n] = (samples[n] * (1.0 - share) + samples[n + cut] * share) as i16;
    }
    sound.copy_within(fade + cut.., fade);
    cut
}

/// Says one repeat of the sound twice: `sound` begins with a cross-fade to what was `lag` samples ago and goes on from there, so that its
/// last `lag` samples are not said yet. `before` is what was said last, [`LONGEST_MS`] of it at least. Returns the lag: at most `most` samples,
/// `enough` where the sound is quiet; 0, and no change, if it is neither quiet nor anything like its beginning by `alike`.
pub fn lengthen(
    before: &[i16],
    sound: &mut [i16],
    per_ms: usize,
    enough: usize,
    most: usize,
    alike: f32,
) -> usize {
    let compared = COMPARED_MS * per_ms;
    let length = sound.len();
    let shortest = SHORTEST_HALF_MS * per_ms / 2;
    let reach = LONGEST_MS * per_ms;
    let longest = most.min(reach).min(length);
    let longest = longest - longest % (per_ms / 8);
    if longest < shortest || length < compared || length > MAX_SAMPLES || before.len() < reach {
        return 0;
    }
    let mut samples = [0.0; MAX_SAMPLES + LONGEST_MS * MAX_RATE as usize / 1_000];
    let samples = &mut samples[..reach + length];
    let both = before[before.len() - reach..].iter().chain(sound.iter());
    for (out, &sample) in samples.iter_mut().zip(both) {
        *out = f32::from(sample);
    }
    let now = reach;
    let quiet = energy(&samples[now..]) < QUIET * QUIET * length as f32;
    let lag = if quiet {
        enough.clamp(shortest, longest)
    } else {
        let found = best_repeat(
            &samples[now..now + compared],
            shortest..=longest,
            per_ms / 8,
            |lag| &samples[now - lag..now - lag + compared],
        );
        if found.likeness < alike {
            return 0;
        }
        found.lag - found.lag % (per_ms / 8)
    };
    let fade = lag.max(compared);
    for n in 0..length {
        let share = ((n + 1) as f32 / (fade + 1) as f32).min(1.0);
        sound[n] = (samples[now + n] * (1.0 - share) + samples[now + n - lag] * share) as i16;
    }
    lag
}
