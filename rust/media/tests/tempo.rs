//! Speech made shorter and longer: as much as is said, without clicks, and at its own pitch.
mod support;

use offhook_media::tempo::{LONGEST_MS, lengthen, shorten};
use support::{edge, recording, tone};

const ALIKE: f32 = 0.85;
/// What is worked on at a time.
const PIECE_MS: usize = 40;

/// Sound that was worked on, and where.
struct Worked {
    sound: Vec<i16>,
    /// Where each changed piece begins, where it ends, and where in the original it began.
    places: Vec<(usize, usize, usize)>,
    /// By how many samples it is shorter, or longer.
    changed: usize,
}

fn shortened(sound: &[i16], per_ms: usize) -> Worked {
    let mut worked = Worked::new();
    for (n, piece) in sound.chunks_exact(PIECE_MS * per_ms).enumerate() {
        let mut piece = piece.to_vec();
        let cut = shorten(&mut piece, per_ms, LONGEST_MS * per_ms, ALIKE);
        worked.add(n * PIECE_MS * per_ms, &piece[..piece.len() - cut], cut);
    }
    worked
}

fn lengthened(sound: &[i16], per_ms: usize) -> Worked {
    let mut worked = Worked::new();
    let (reach, mut at) = (LONGEST_MS * per_ms, LONGEST_MS * per_ms);
    worked.add(0, &sound[..reach], 0);
    while at + PIECE_MS * per_ms <= sound.len() {
        let mut piece = sound[at..at + PIECE_MS * per_ms].to_vec();
        let said = &worked.sound[worked.sound.len() - reach..];
        let lag = lengthen(said, &mut piece, per_ms, 3 * per_ms, reach, ALIKE);
        worked.add(at, &piece, lag);
        at += piece.len() - lag;
    }
    worked
}

impl Worked {
    fn new() -> Self {
        Worked {
            sound: Vec::new(),
            places: Vec::new(),
            changed: 0,
        }
    }

    fn add(&mut self, original: usize, piece: &[i16], changed: usize) {
        if changed > 0 {
            let at = self.sound.len();
            self.places.push((at, at + piece.len(), original));
        }
        self.sound.extend_from_slice(piece);
        self.changed += changed;
    }

    /// How much rougher the worst piece that was worked on is, edges included, than the original there.
    fn roughest(&self, original: &[i16], per_ms: usize) -> f64 {
        let worst = self.places.iter().map(|&(at, end, from)| {
            let piece = &self.sound[at.saturating_sub(per_ms)..self.sound.len().min(end + per_ms)];
            let to = original.len().min(from + (PIECE_MS + 1) * per_ms);
            let around = &original[from.saturating_sub(LONGEST_MS * per_ms)..to];
            edge(piece).0 / (edge(around).0 + 128.0)
        });
        worst.fold(0.0, f64::max)
    }

    /// Of the changed pieces in which there is a voice before and after, how many there are, and the share whose pitch is another.
    fn off_pitch(&self, original: &[i16], per_ms: usize) -> (usize, f64) {
        let (mut voiced, mut off) = (0, 0);
        for &(at, _, from) in &self.places {
            let Some(now) = period(&self.sound, at, per_ms) else {
                continue;
            };
            // What is said twice was said a little before; two periods are one as well.
            let near = [from.saturating_sub(10 * per_ms), from, from + 10 * per_ms];
            let then: Vec<usize> = near
                .iter()
                .filter_map(|&at| period(original, at, per_ms))
                .collect();
            let is_that = |&then: &usize| {
                let ratio = now as f64 / then as f64;
                [0.5, 1.0, 2.0]
                    .iter()
                    .any(|octave| (ratio / octave).ln().abs() < 0.06)
            };
            voiced += usize::from(!then.is_empty());
            off += usize::from(!then.is_empty() && !then.iter().any(is_that));
        }
        (voiced, off as f64 / voiced.max(1) as f64)
    }
}

/// The period of a voice in samples, if there is one.
fn period(sound: &[i16], at: usize, per_ms: usize) -> Option<usize> {
    let window = 20 * per_ms;
    let now = sound.get(at..at + window).filter(|_| at > 5 * per_ms)?;
    let likeness = |lag: usize| {
        let then = &sound[at - lag..at - lag + window];
        let product = |a: &[i16], b: &[i16]| -> f64 {
            let pairs = a.iter().zip(b);
            pairs.map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
        };
        product(now, then) / (product(now, now) * product(then, then)).sqrt().max(1e6)
    };
    // The shortest that is nearly as good as the best: two periods are one as well.
    let lags = 5 * per_ms / 2..(14 * per_ms).min(at);
    let best = lags.clone().map(likeness).fold(0.8, f64::max);
    lags.clone()
        .find(|&lag| likeness(lag) >= best - 0.04 && best > 0.8)
}

#[test]
fn speech_is_as_much_shorter_or_longer_as_is_said_without_clicks_and_at_its_pitch() {
    for rate in [8_000, 16_000] {
        let (sound, per_ms) = (recording(rate), rate as usize / 1_000);
        let whole = sound.len() - sound.len() % (PIECE_MS * per_ms);
        let shorter = shortened(&sound, per_ms);
        assert_eq!(shorter.sound.len(), whole - shorter.changed);
        let longer = lengthened(&sound, per_ms);
        let missing = sound.len() + longer.changed - longer.sound.len();
        assert!(missing < PIECE_MS * per_ms, "{missing}");
        for (worked, name) in [(shorter, "shorter"), (longer, "longer")] {
            let rough = worked.roughest(&sound, per_ms);
            let share = worked.changed as f64 / whole as f64;
            let (voiced, off) = worked.off_pitch(&sound, per_ms);
            let case = format!("{rate} Hz, {name} by {share:.2}: {rough:.2}, {off:.2} of {voiced}");
            assert!(share > 0.08 && worked.places.len() > 60, "{case}");
            assert!(rough < 1.3, "{case}");
            assert!(voiced > 20 && off < 0.1, "{case}");
        }
    }
}

#[test]
fn a_tone_keeps_its_pitch_to_a_thousandth() {
    for (rate, hertz) in [
        (8_000, 220.0),
        (8_000, 437.0),
        (16_000, 220.0),
        (16_000, 437.0),
    ] {
        let (sound, per_ms) = (
            tone(rate, hertz, 8_000.0, 4 * rate as usize),
            rate as usize / 1_000,
        );
        for worked in [shortened(&sound, per_ms), lengthened(&sound, per_ms)] {
            assert!(worked.changed > sound.len() / 20);
            let turns = |sound: &[i16]| {
                let up = sound.windows(2).filter(|x| x[0] < 0 && x[1] >= 0).count();
                up as f64 / sound.len() as f64
            };
            let off = turns(&worked.sound) / turns(&sound) - 1.0;
            assert!(off.abs() < 0.004, "{rate} {hertz}: {off:.4}");
        }
    }
}
