//! A tone from its begin to its end.
use super::moment::{Moment, Tone};

/// Moments come so often, in ms.
pub(super) const HOP: u32 = 10;
/// Moments without the tone that end it: what is shorter is a loss, or a turn of the phase.
const GAP: u32 = 4;
/// How far a tone may wander: this share of it, and no less than so many Hz; where two are close together it is their beat.
const WANDER: f32 = 0.012;
const LEAST: f32 = 9.0;
const BEAT: f32 = 28.0;
const BEATS: std::ops::Range<f32> = 330.0..520.0;
/// A tone that falls so far from its loudest is over, in dB.
const FALL: f32 = 12.0;
/// Moments at the edges hold a part of the tone only.
const EDGE: u32 = 2;

/// A tone that goes on, or has ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Run {
    /// Hz, the stronger first; 0 where there is no second.
    pub hertz: [f32; 2],
    /// When it began and when it was heard last, in ms.
    pub begin: u32,
    pub end: u32,
    /// dBov: its loudest, and its softest but for its edges.
    pub loudest: f32,
    pub softest: f32,
    /// The mean share of the power that it was.
    pub purity: f32,
    /// Two tones that are a key's.
    pub is_key: bool,
    /// Moments of it, of those with a second tone, and since the last.
    count: u32,
    double: u32,
    missed: u32,
    /// The softest before the last moments, which may be its end.
    waiting: [f32; EDGE as usize],
}

impl Run {
    fn new(tone: Tone, level: f32, now: u32) -> Self {
        Self {
            hertz: tone.hertz,
            begin: now,
            end: now,
            loudest: level,
            softest: 0.0,
            purity: tone.purity,
            is_key: tone.is_key(),
            count: 1,
            double: u32::from(tone.hertz[1] > 0.0),
            missed: 0,
            waiting: [0.0; EDGE as usize],
        }
    }

    /// How long it lasted, in ms.
    pub fn lasted(&self) -> u32 {
        self.end - self.begin + HOP
    }

    /// How evenly loud it was, in dB.
    pub fn spread(&self) -> f32 {
        (self.loudest - self.softest.min(self.loudest)).max(0.0)
    }

    /// Whether it is one tone near `hertz`.
    pub fn is_near(&self, hertz: f32, within: f32) -> bool {
        (self.hertz[0] - hertz).abs() <= within && self.hertz[1] == 0.0
    }

    /// Two tones as a voice has them, which are short multiples of one that is lower.
    pub fn is_voice(&self) -> bool {
        let [one, other] = self.hertz;
        if other == 0.0 {
            return false;
        }
        let (low, high) = (one.min(other), one.max(other));
        low < 340.0 || self.lasted() < 300 && (high / low - 2.0).abs() < 0.06
    }

    fn goes_on_as(&self, tone: &Tone, level: f32) -> bool {
        let [mine, other] = self.hertz;
        let near = |a: f32, b: f32| {
            let within = if BEATS.contains(&a) {
                BEAT
            } else {
                LEAST.max(WANDER * a)
            };
            (a - b).abs() <= within
        };
        // Of two tones that are equally loud, either may be the stronger one.
        let [now, beside] = tone.hertz;
        let other = if 2 * self.double >= self.count {
            other
        } else {
            0.0
        };
        let same = near(mine, now)
            || other > 0.0 && (near(other, now) || beside > 0.0 && near(mine, beside));
        same && level > self.loudest - FALL
    }

    fn go_on(&mut self, tone: &Tone, level: f32, now: u32) {
        self.end = now;
        self.missed = 0;
        self.count += 1;
        self.loudest = self.loudest.max(level);
        if self.count > 2 * EDGE {
            self.softest = if self.softest == 0.0 {
                self.waiting[0]
            } else {
                self.softest.min(self.waiting[0])
            };
        }
        self.waiting = [self.waiting[1], level];
        let share = 1.0 / self.count as f32;
        self.purity += (tone.purity - self.purity) * share;
        let (swapped, second) = match tone.hertz[1] {
            second
                if second > 0.0
                    && (tone.hertz[0] - self.hertz[0]).abs() > (second - self.hertz[0]).abs() =>
            {
                ((second, tone.hertz[0]), true)
            }
            second => ((tone.hertz[0], second), second > 0.0),
        };
        self.hertz[0] += (swapped.0 - self.hertz[0]) * share;
        if second {
            self.double += 1;
            let share = 1.0 / self.double as f32;
            self.hertz[1] += (swapped.1 - self.hertz[1]) * share;
        }
        self.is_key &= tone.is_key();
    }

    /// A second tone that was there half of the time only was none.
    fn settle(mut self) -> Self {
        if 2 * self.double < self.count {
            self.hertz[1] = 0.0;
        }
        self
    }
}

/// Follows tones from moment to moment.
#[derive(Debug, Default)]
pub(super) struct Runs {
    current: Option<Run>,
}

impl Runs {
    /// The tone that goes on.
    pub fn current(&self) -> Option<Run> {
        self.current.filter(|run| run.missed == 0).map(Run::settle)
    }

    /// Whether there is a tone that may still go on, or has ended a moment ago.
    pub fn may_go_on(&self) -> bool {
        self.current.is_some_and(|run| run.lasted() > 60)
    }

    /// Takes the moment that ends at `now`, in ms; the tone that has ended with it.
    pub fn take(&mut self, moment: &Moment, now: u32) -> Option<Run> {
        let Some(run) = &mut self.current else {
            self.current = moment.tone.map(|tone| Run::new(tone, moment.level, now));
            return None;
        };
        match moment.tone {
            Some(tone) if run.goes_on_as(&tone, moment.level) => {
                run.go_on(&tone, moment.level, now);
                None
            }
            Some(tone)
                if run.missed >= 1 || run.count >= 4 && moment.level > run.loudest - FALL =>
            {
                let ended = run.settle();
                self.current = Some(Run::new(tone, moment.level, now));
                Some(ended)
            }
            _ => {
                run.missed += 1;
                if run.missed < GAP {
                    return None;
                }
                self.current.take().map(Run::settle)
            }
        }
    }
}
