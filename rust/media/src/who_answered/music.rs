//! What is no speech though it sounds: music and noise. Its level hardly moves, tones stay where they are, and nothing hisses.
//!
//! Speech falls silent between its syllables, glides, and has an `s` now and then. Thresholds are from `tuning` of
//! `tests/support/callees`: music of Asterisk's queues against voices, noises and both at once.
use super::moment::{Moment, PEAKS, Peak};
use super::run::HOP;

/// Moments that are remembered: 4.5 s.
const KEPT: usize = 450;
/// A tone that stays within so many bins of where it has been, for so many moments, stays.
const STEP: f32 = 0.25;
const WANDER: f32 = 0.35;
const STAYS: u16 = 12;
/// Softer than that, in dBov, no tone is followed.
const FAINT: f32 = -50.0;
/// Moments so far below the mean are pauses of speech, in dB; those so far below the loud ones count for nothing else.
const PAUSE: f32 = 6.0;
const LOUD: f32 = 27.0;
/// Of the loud ones at most this share says by hissing that it is speech.
const HISS: f32 = 0.05;
/// Below it is no speech, where it lasted so long, in ms: voices differ, and a few words are never taken for music.
const STEADY: f32 = 0.05;
const LONG: u32 = 2_000;
/// Where there was music before, a scrap of it will do.
const AGAIN: f32 = 0.15;
/// Less than that, in ms, is not looked at.
const LEAST: u32 = 200;
/// A sound of which tones stay for this share is no noise.
const TONAL: f32 = 0.02;

#[derive(Clone, Copy, Debug, Default)]
struct Track {
    /// Where it is, and where it has been on average, in bins.
    now: f32,
    mean: f32,
    moments: u16,
}

/// What is kept of a moment.
#[derive(Clone, Copy, Debug, Default)]
struct Kept {
    /// dBov, and the same as a power.
    level: f32,
    power: f32,
    stays: bool,
    hisses: bool,
}

#[derive(Debug)]
pub(super) struct Music {
    tracks: [Track; PEAKS],
    count: usize,
    kept: [Kept; KEPT],
    /// Where the next one goes, and how many there are.
    next: usize,
    filled: usize,
}

impl Default for Music {
    fn default() -> Self {
        Self {
            tracks: [Track::default(); PEAKS],
            count: 0,
            kept: [Kept::default(); KEPT],
            next: 0,
            filled: 0,
        }
    }
}

impl Music {
    pub fn take(&mut self, moment: &Moment) {
        let stays = self.follow(moment);
        self.kept[self.next] = Kept {
            level: moment.level,
            power: 10.0_f32.powf(moment.level / 10.0),
            stays,
            hisses: moment.hisses,
        };
        self.next = (self.next + 1) % KEPT;
        self.filled = (self.filled + 1).min(KEPT);
    }

    /// Whether most of a moment is tones that stay.
    fn follow(&mut self, moment: &Moment) -> bool {
        let peaks: &[Peak] = if moment.level > FAINT {
            moment.peaks()
        } else {
            &[]
        };
        let mut tracks = [Track::default(); PEAKS];
        let (mut all, mut staying) = (0.0, 0.0);
        for (track, peak) in tracks.iter_mut().zip(peaks) {
            let nearest = self.tracks[..self.count]
                .iter()
                .filter(|before| (before.now - peak.bin).abs() < STEP)
                .min_by(|a, b| {
                    let far = |track: &Track| (track.now - peak.bin).abs();
                    far(a).total_cmp(&far(b))
                });
            *track = match nearest {
                Some(before) if (before.mean - peak.bin).abs() < WANDER => Track {
                    now: peak.bin,
                    mean: before.mean + (peak.bin - before.mean) / f32::from(before.moments + 1),
                    moments: before.moments.saturating_add(1).min(1_000),
                },
                _ => Track {
                    now: peak.bin,
                    mean: peak.bin,
                    moments: 1,
                },
            };
            all += peak.power;
            if track.moments >= STAYS {
                staying += peak.power;
            }
        }
        self.tracks = tracks;
        self.count = peaks.len();
        staying > 0.5 * all
    }

    /// Whether what was heard from `from` to `to` ms ago is no speech; `again` where there was music before.
    pub fn is_no_speech(&self, from: u32, to: u32, again: bool) -> bool {
        let heard = from.saturating_sub(to);
        let (least, most) = if again {
            (LEAST, AGAIN)
        } else {
            (LONG, STEADY)
        };
        heard >= least && self.speech_in(from, to) < most
    }

    /// Whether tones stay in the last `lasted` ms, as they do in music and not in noise.
    pub fn is_tonal(&self, lasted: u32) -> bool {
        let count = self
            .span(lasted, 0)
            .fold((0_u32, 0_u32), |(all, stays), kept| {
                (all + 1, stays + u32::from(kept.stays))
            });
        count.1 as f32 > TONAL * count.0 as f32
    }

    /// How much it is like speech: the share of pauses and of hissing, less that of tones that stay.
    fn speech_in(&self, from: u32, to: u32) -> f32 {
        let (mut count, mut power, mut top) = (0_u32, 0.0, -100.0_f32);
        for kept in self.span(from, to) {
            count += 1;
            power += kept.power;
            top = top.max(kept.level);
        }
        if count == 0 {
            return 1.0;
        }
        let mean = 10.0 * (power / count as f32 + 1e-10).log10();
        let (mut pauses, mut loud, mut stays, mut hisses) = (0_u32, 0_u32, 0_u32, 0_u32);
        for kept in self.span(from, to) {
            pauses += u32::from(kept.level < mean - PAUSE);
            if kept.level > top - LOUD {
                loud += 1;
                stays += u32::from(kept.stays);
                hisses += u32::from(kept.hisses);
            }
        }
        let of_loud = |some: u32| some as f32 / loud.max(1) as f32;
        pauses as f32 / count as f32 - of_loud(stays) + 2.0 * of_loud(hisses).min(HISS)
    }

    /// The moments from `from` to `to` ms ago, as far as they are remembered.
    fn span(&self, from: u32, to: u32) -> impl Iterator<Item = &Kept> {
        let from = ((from / HOP) as usize).min(self.filled);
        let to = ((to / HOP) as usize).min(from);
        (to..from).map(|ago| &self.kept[(self.next + KEPT - 1 - ago) % KEPT])
    }
}
