//! Music for those who are on hold: made once, heard by all of them from its beginning.
use crate::convert::{AudioFormat, Converter};
use crate::playout::LINE_RATE;
use crate::resample::RATES;
use std::f64::consts::TAU;
use std::time::Duration;

/// What is played again before the sound, so that a resampler's beginning is its end: no click where it goes around.
const RUN_UP_MS: u32 = 20;
/// The longest music that is kept.
pub const LONGEST: Duration = Duration::from_secs(600);

/// A piece of music that goes around, at the rates of the line's codecs.
#[derive(Debug)]
pub struct Melody {
    narrow: Box<[i16]>,
    /// Two samples for each of the others.
    wide: Box<[i16]>,
}

impl Melody {
    /// Music of samples at `rate`: 8000, 16000, 24000 or 48000 Hz, 20 ms to [`LONGEST`]. `None` for anything else.
    pub fn new(pcm: &[i16], rate: u32) -> Option<Self> {
        let lasts = Duration::from_secs(pcm.len() as u64).checked_div(rate)?;
        if !RATES.contains(&rate) || lasts < Duration::from_millis(20) || lasts > LONGEST {
            return None;
        }
        let samples = pcm.len() * LINE_RATE as usize / rate as usize;
        Some(Melody {
            narrow: at_rate(pcm, rate, LINE_RATE, samples),
            wide: at_rate(pcm, rate, 2 * LINE_RATE, 2 * samples),
        })
    }

    /// Music of our own, for who brings none: broken chords, plucked softly, 32 s until they come around.
    pub fn composed() -> Self {
        Self::new(&compose(), 2 * LINE_RATE).expect("it is music")
    }

    /// Samples at 8 kHz until it goes around.
    pub fn len(&self) -> usize {
        self.narrow.len()
    }

    /// It never is.
    pub fn is_empty(&self) -> bool {
        self.narrow.is_empty()
    }

    /// Fills `out` with what comes from sample `at` on, which counts at 8 kHz; `rate` is 8000 or 16000.
    pub fn read(&self, at: usize, rate: u32, out: &mut [i16]) {
        let (sound, at) = if rate == LINE_RATE {
            (&self.narrow, at)
        } else {
            (&self.wide, 2 * at)
        };
        let mut at = at % sound.len();
        let mut done = 0;
        while done < out.len() {
            let piece = (out.len() - done).min(sound.len() - at);
            out[done..done + piece].copy_from_slice(&sound[at..at + piece]);
            done += piece;
            at = (at + piece) % sound.len();
        }
    }
}

/// The chords, as steps from middle C in semitones: C, a, F, G, e, a, d, G. All within what a telephone carries.
const CHORDS: [[i32; 4]; 8] = [
    [0, 4, 7, 12],
    [-3, 0, 4, 9],
    [-7, 0, 5, 9],
    [-5, 2, 7, 11],
    [-8, -1, 4, 7],
    [-3, 4, 9, 12],
    [-10, 2, 5, 9],
    [-5, -1, 2, 7],
];
/// In which order the strings of a chord are plucked, an eighth each.
const FIGURES: [[usize; 8]; 2] = [[0, 1, 2, 3, 2, 3, 2, 1], [0, 2, 3, 2, 1, 2, 3, 1]];
/// Seconds of an eighth.
const EIGHTH: f64 = 0.25;
const MIDDLE_C: f64 = 261.63;

fn compose() -> Vec<i16> {
    let rate = f64::from(2 * LINE_RATE);
    let bars = CHORDS.len() * FIGURES.len();
    let len = (rate * EIGHTH * 8.0) as usize * bars;
    let mut sound = vec![0.0f64; len];
    for bar in 0..bars {
        let (chord, figure) = (CHORDS[bar % CHORDS.len()], FIGURES[bar / CHORDS.len()]);
        for (eighth, string) in figure.into_iter().enumerate() {
            let hertz = MIDDLE_C * 2.0_f64.powf(f64::from(chord[string]) / 12.0);
            let accent = if eighth == 0 { 1.0 } else { 0.7 };
            let begin = ((bar * 8 + eighth) as f64 * EIGHTH * rate) as usize;
            // The last notes ring into the beginning.
            for n in 0..(1.6 * rate) as usize {
                let at = n as f64 / rate;
                let envelope =
                    (at / 0.01).min(1.0) * (-at / 0.45).exp() * ((1.6 - at) / 0.2).min(1.0);
                let angle = TAU * hertz * at;
                let tone = angle.sin() + 0.3 * (2.0 * angle).sin() + 0.1 * (3.0 * angle).sin();
                sound[(begin + n) % len] += accent * envelope * tone;
            }
        }
    }
    let peak = sound
        .iter()
        .fold(0.0f64, |peak, sample| peak.max(sample.abs()));
    // A quarter of full scale: music that is talked over.
    sound
        .iter()
        .map(|sample| (sample / peak * 8_191.0) as i16)
        .collect()
}

fn at_rate(pcm: &[i16], from: u32, to: u32, samples: usize) -> Box<[i16]> {
    if from == to {
        return pcm[..samples].into();
    }
    let run_up = pcm.len().min((from / 1_000 * RUN_UP_MS) as usize);
    let mut converter = Converter::new(AudioFormat::pcm16(from), AudioFormat::pcm16(to));
    let mut bytes = Vec::with_capacity(2 * (samples + (to / 1_000 * RUN_UP_MS) as usize));
    converter.convert_samples(&pcm[pcm.len() - run_up..], &mut bytes);
    converter.convert_samples(pcm, &mut bytes);
    let from = bytes.len().saturating_sub(2 * samples);
    bytes[from..]
        .chunks_exact(2)
        .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(rate: u32, samples: usize) -> Vec<i16> {
        (0..samples)
            .map(|n| (8_000.0 * (TAU * 400.0 * n as f64 / f64::from(rate)).sin()) as i16)
            .collect()
    }

    #[test]
    fn it_goes_around_without_a_seam_at_every_rate() {
        for rate in RATES {
            // Whole periods of the tone, so that its end leads to its beginning.
            let melody = Melody::new(&tone(rate, rate as usize / 10), rate).expect("music");
            assert_eq!(melody.len(), 800, "{rate}");
            for (line, steepest) in [(8_000, 2_550), (16_000, 1_300)] {
                let mut heard = vec![0; line as usize];
                melody.read(333, line, &mut heard);
                let step = heard.windows(2).map(|pair| pair[0].abs_diff(pair[1])).max();
                assert!(step <= Some(steepest), "{rate} to {line}: {step:?}");
            }
        }
    }

    #[test]
    fn reading_on_is_the_same_however_it_is_cut() {
        let melody = Melody::new(&tone(8_000, 1_111), 8_000).expect("music");
        let mut whole = vec![0; 5_000];
        melody.read(0, 8_000, &mut whole);
        let mut parts = Vec::new();
        for at in (0..5_000).step_by(200) {
            let mut part = [0; 200];
            melody.read(at, 8_000, &mut part);
            parts.extend(part);
        }
        assert_eq!(whole, parts);
    }

    #[test]
    fn our_own_is_heard_throughout_and_has_no_seam() {
        let melody = Melody::composed();
        assert_eq!(melody.len(), 32 * 8_000);
        let mut heard = vec![0; melody.len() + 8_000];
        melody.read(0, 8_000, &mut heard);
        for second in heard.chunks(8_000) {
            let power: f64 = second.iter().map(|&x| f64::from(x).powi(2)).sum();
            let level = (power / 8_000.0).sqrt();
            assert!((600.0..4_000.0).contains(&level), "{level}");
        }
        let step = heard.windows(2).map(|pair| pair[0].abs_diff(pair[1])).max();
        assert!(step < Some(6_000), "{step:?}");
    }

    #[test]
    fn what_is_no_music_is_refused() {
        assert!(Melody::new(&[], 8_000).is_none());
        assert!(Melody::new(&[0; 100], 8_000).is_none());
        assert!(Melody::new(&[0; 11_025], 11_025).is_none());
        assert!(Melody::new(&[0; 8_000], 0).is_none());
        assert!(Melody::new(&vec![0; 8_000 * 601], 8_000).is_none());
    }
}
