//! Resampling between all pairs of rates, measured as a listener would: tones, sweeps, noise, and where streams are cut.
use offhook_media::resample::{RATES, Resampler};
use std::f64::consts::TAU;

fn pairs() -> impl Iterator<Item = (u32, u32)> {
    RATES
        .into_iter()
        .flat_map(|from| RATES.into_iter().map(move |to| (from, to)))
        .filter(|(from, to)| from != to)
}

/// A small generator of our own, the same on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

fn feed(resampler: &mut Resampler, input: &[i16], out: &mut Vec<i16>) {
    let mut room = [0; Resampler::ROOM];
    for block in input.chunks(Resampler::BLOCK) {
        let count = resampler.process(block, &mut room);
        out.extend_from_slice(&room[..count]);
    }
}

fn resampled(from: u32, to: u32, input: &[i16]) -> Vec<i16> {
    let mut out = Vec::new();
    feed(&mut Resampler::new(from, to), input, &mut out);
    out
}

const PEAK: f64 = 20_000.0;

fn tone(rate: u32, hertz: f64, samples: u32) -> Vec<i16> {
    (0..samples)
        .map(|n| (PEAK * (TAU * hertz * f64::from(n) / f64::from(rate)).sin()).round() as i16)
        .collect()
}

fn decibels(ratio: f64) -> f64 {
    20.0 * ratio.log10()
}

/// What of `pcm` is a tone of this frequency (its peak), and what else there is (its effective value).
fn take_apart(pcm: &[i16], rate: u32, hertz: f64) -> (f64, f64) {
    let angle = |n: usize| TAU * hertz * n as f64 / f64::from(rate);
    let (mut re, mut im) = (0.0, 0.0);
    for (n, &sample) in pcm.iter().enumerate() {
        re += f64::from(sample) * angle(n).cos();
        im += f64::from(sample) * angle(n).sin();
    }
    let (re, im) = (2.0 * re / pcm.len() as f64, 2.0 * im / pcm.len() as f64);
    let rest: f64 = pcm
        .iter()
        .enumerate()
        .map(|(n, &sample)| (f64::from(sample) - re * angle(n).cos() - im * angle(n).sin()).powi(2))
        .sum();
    (re.hypot(im), (rest / pcm.len() as f64).sqrt())
}

/// Of a second of sound the middle, a whole number of periods of every frequency in use.
fn middle(pcm: &[i16]) -> &[i16] {
    &pcm[pcm.len() / 4..pcm.len() * 3 / 4]
}

#[test]
fn speech_passes_flat_and_nothing_is_added_to_it() {
    for (from, to) in pairs() {
        let half = from.min(to) / 2;
        let top = if half == 4_000 { 3_400 } else { half * 7 / 8 };
        for hertz in (100..=top).step_by(100).map(f64::from) {
            let out = resampled(from, to, &tone(from, hertz, from));
            let (peak, rest) = take_apart(middle(&out), to, hertz);
            let gain = decibels(peak / PEAK);
            assert!(gain.abs() < 0.5, "{from} to {to}, {hertz} Hz: {gain:.2} dB");
            let rest = decibels(rest / (PEAK / 2f64.sqrt()));
            assert!(rest < -60.0, "{from} to {to}, {hertz} Hz: {rest:.1} dB");
        }
    }
}

#[test]
fn what_the_slower_rate_cannot_hold_is_gone() {
    for (from, to) in pairs().filter(|(from, to)| from > to) {
        for hertz in (to / 2 + 20..=from / 2 - 20).step_by(180).map(f64::from) {
            let out = resampled(from, to, &tone(from, hertz, from / 2));
            let (_, rest) = take_apart(middle(&out), to, 0.0);
            let rest = decibels(rest / (PEAK / 2f64.sqrt()));
            assert!(rest < -60.0, "{from} to {to}, {hertz} Hz: {rest:.1} dB");
        }
    }
}

#[test]
fn how_a_stream_is_cut_changes_no_sample() {
    let mut random = Random(1);
    for (from, to) in pairs() {
        let input: Vec<i16> = (0..from * 2)
            .map(|_| random.below(65_536) as u16 as i16)
            .collect();
        let whole = resampled(from, to, &input);
        let mut resampler = Resampler::new(from, to);
        let mut parts = Vec::new();
        let mut rest = &input[..];
        while !rest.is_empty() {
            let (piece, after) = rest.split_at((1 + random.below(2_000)).min(rest.len()));
            feed(&mut resampler, piece, &mut parts);
            rest = after;
            // The count follows the ratio at every moment, not just at the end.
            let taken = (input.len() - rest.len()) as u64;
            let exact = (taken * u64::from(to)).div_ceil(u64::from(from));
            assert_eq!(parts.len() as u64, exact, "{from} to {to}");
        }
        assert_eq!(whole, parts, "{from} to {to}");
    }
}

#[test]
fn a_swept_sine_comes_out_as_the_same_sweep_without_a_click() {
    for (from, to) in pairs() {
        let (seconds, top) = (4.0, f64::from(from.min(to)) * 0.42);
        let sweep = |time: f64| {
            PEAK * (TAU * (50.0 * time + (top - 50.0) / (2.0 * seconds) * time * time)).sin()
        };
        let input: Vec<i16> = (0..from * 4)
            .map(|n| sweep(f64::from(n) / f64::from(from)).round() as i16)
            .collect();
        let mut resampler = Resampler::new(from, to);
        let delay = resampler.delay().as_secs_f64();
        let mut out = Vec::new();
        for frame in input.chunks(from as usize / 50) {
            feed(&mut resampler, frame, &mut out);
        }
        // Every sample stands where the sweep was one delay ago: a click anywhere would stand out.
        let worst = (to as usize / 50..out.len())
            .map(|n| (f64::from(out[n]) - sweep(n as f64 / f64::from(to) - delay)).abs())
            .fold(0.0, f64::max);
        assert!(decibels(worst / PEAK) < -50.0, "{from} to {to}: {worst}");
    }
}

#[test]
fn the_delay_is_that_which_is_stated() {
    for (from, to) in pairs() {
        let mut input = vec![0; from as usize / 10];
        input[0] = 20_000;
        let mut resampler = Resampler::new(from, to);
        let mut out = Vec::new();
        feed(&mut resampler, &input, &mut out);
        let highest = (0..out.len()).max_by_key(|&n| out[n]).expect("sound");
        let millis = highest as f64 * 1_000.0 / f64::from(to);
        let stated = resampler.delay().as_secs_f64() * 1_000.0;
        assert!((millis - stated).abs() < 0.07, "{from} to {to}: {millis}");
        let least = match from.min(to) {
            8_000 => 3.0,
            16_000 => 2.0,
            _ => 1.34,
        };
        assert!(stated <= least, "{from} to {to}: {stated}");
    }
}

#[test]
fn after_a_reset_nothing_is_left_and_nothing_clicks() {
    for (from, to) in pairs() {
        let mut resampler = Resampler::new(from, to);
        let mut out = Vec::new();
        feed(&mut resampler, &tone(from, 1_000.0, from / 7), &mut out);
        resampler.reset();
        let mut after = Vec::new();
        feed(&mut resampler, &vec![0; from as usize / 10], &mut after);
        assert!(after.iter().all(|&sample| sample == 0), "{from} to {to}");
        // Sound that begins softly begins softly: no step is larger than the tone's own.
        resampler.reset();
        after.clear();
        feed(&mut resampler, &tone(from, 300.0, from / 10), &mut after);
        let steepest = PEAK * TAU * 300.0 / f64::from(to);
        let largest = after
            .windows(2)
            .map(|pair| f64::from(pair[1].abs_diff(pair[0])))
            .fold(0.0, f64::max);
        assert!(largest < 1.2 * steepest, "{from} to {to}: {largest}");
        assert_eq!(after.len(), to as usize / 10);
    }
}

#[test]
fn extremes_clip_and_never_wrap_and_constants_stay() {
    for (from, to) in pairs() {
        for value in [i16::MIN, -1, 0, 1, i16::MAX] {
            let out = resampled(from, to, &vec![value; from as usize / 10]);
            let settled = &out[to as usize / 50..];
            assert!(
                settled.iter().all(|&out| out == value),
                "{from} to {to}: {value}"
            );
        }
        // A square wave overshoots; where it does it stays at the end of the scale.
        let square: Vec<i16> = (0..from)
            .map(|n| {
                if (n * 200 / from).is_multiple_of(2) {
                    i16::MAX
                } else {
                    i16::MIN
                }
            })
            .collect();
        let out = resampled(from, to, &square);
        let wrapped = out
            .windows(3)
            .filter(|w| w[0] > 30_000 && w[1] < -30_000 && w[2] > 30_000)
            .count();
        assert_eq!(wrapped, 0, "{from} to {to}");
    }
}

#[test]
fn there_and_back_is_the_same_sound() {
    for (low, high) in pairs().filter(|(from, to)| from < to) {
        let hertz = 1_000.0;
        let there = resampled(low, high, &tone(low, hertz, low));
        let back = resampled(high, low, &there);
        let (peak, rest) = take_apart(middle(&back), low, hertz);
        assert!(
            decibels(peak / PEAK).abs() < 0.05 && rest < PEAK / 1_000.0,
            "{low} {high}"
        );
    }
}
