//! The rhythm of what is said: a few words and a wait, or a recording that goes on.
use super::moment::Moment;
use super::run::HOP;
use crate::vad::Vad;

/// After speech of at most `after` ms, a pause of `told` ms is taken for a wait for an answer; one of `settled` ms is one, so sure.
struct Wait {
    after: u32,
    told: u32,
    settled: u32,
    confidence: f32,
}

static WAITS: [Wait; 4] = [
    Wait {
        after: 700,
        told: 320,
        settled: 520,
        confidence: 0.95,
    },
    Wait {
        after: 1_300,
        told: 400,
        settled: 620,
        confidence: 0.93,
    },
    Wait {
        after: 2_600,
        told: 950,
        settled: 950,
        confidence: 0.85,
    },
    Wait {
        after: u32::MAX,
        told: 1_700,
        settled: 1_700,
        confidence: 0.65,
    },
];
/// Who waits is so far below what was said, in dB; noise goes on.
const SILENT: f32 = 6.0;
/// How much less sure it is before it is settled.
const HASTY: f32 = 0.2;
/// Speech that has gone on for so long, in ms, is a recording's.
const GOES_ON: u32 = 4_600;
/// Of which at least this share was sound.
const SPOKEN: f32 = 0.45;
/// Sound so far below the loudest is not the one who answered, in dB.
const BELOW: f32 = 16.0;
/// Nobody speaks so softly into a telephone, in dBov.
const AUDIBLE: f32 = -42.0;
/// So much sound, in ms, is a word.
const WORD: u32 = 90;
/// How fast the loudest is forgotten, in dB a moment.
const FORGETS: f32 = 0.005;
/// What is heard at all, in dBov.
const HEARD: f32 = -46.0;
/// The callee is louder than our own voice that comes back, in dB.
const OVER_ECHO: f32 = 4.0;
/// What was taken for a voice that begins so long before a tone, in ms, was the tone.
const SAME: u32 = 120;
/// Scraps of sound that are so far apart, in ms, are not one word.
const APART: u32 = 300;
/// Our own voice may hide the callee's for so long.
const MASKED: u32 = 400;
/// Moments that are remembered.
const KEPT: usize = 32;

/// What it is by now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Rhythm {
    None,
    /// Somebody waits, as it seems.
    Pauses {
        confidence: f32,
    },
    /// Somebody waits.
    Waits {
        confidence: f32,
    },
    GoesOn {
        confidence: f32,
    },
}

#[derive(Debug)]
pub(super) struct Cadence {
    /// The first word begins, and the last so far ends, in ms.
    begin: Option<u32>,
    last: u32,
    /// Ms of it with sound.
    sound: u32,
    /// The level of speech, in dBov.
    loudest: f32,
    /// Smoothed level, and the ms that were heard at all.
    level: f32,
    heard: u32,
    /// The levels of the last moments, the newest last.
    levels: [f32; KEPT],
}

impl Default for Cadence {
    fn default() -> Self {
        Self {
            begin: None,
            last: 0,
            sound: 0,
            loudest: -100.0,
            level: -100.0,
            heard: 0,
            levels: [-100.0; KEPT],
        }
    }
}

impl Cadence {
    /// Takes a moment that ends at `now`.
    pub fn take(&mut self, moment: &Moment, voice: &Vad, echo: f32, is_tone: bool, now: u32) {
        self.levels.rotate_left(1);
        self.levels[KEPT - 1] = moment.level;
        self.level += (moment.level - self.level) * 0.4;
        if moment.level > HEARD.max(echo + OVER_ECHO) {
            self.heard += HOP;
        }
        if !voice.is_speech() || !voice.is_active() || is_tone || self.level < AUDIBLE {
            return;
        }
        if self.level < echo + OVER_ECHO {
            // It may be our own voice, or the callee's beneath it.
            if self.has_spoken() && now < self.last + MASKED {
                self.last = now;
            }
            return;
        }
        self.loudest = (self.loudest - FORGETS).max(self.level);
        if self.level > self.loudest - BELOW {
            if self.begin.is_none() || !self.has_spoken() && now > self.last + APART {
                // It takes the voice activity some 80 ms to be sure.
                self.begin = Some(now.saturating_sub(80));
                self.sound = 0;
            }
            self.last = now;
            self.sound += HOP;
        }
    }

    /// What began at `since` is a tone: it was nobody's first word.
    pub fn revoke(&mut self, since: u32) {
        if self
            .begin
            .is_some_and(|begin| begin + SAME > since && self.sound < 400)
        {
            self.restart();
        }
    }

    /// What was heard so far was nobody who speaks.
    pub fn restart(&mut self) {
        self.begin = None;
        self.sound = 0;
        self.loudest = -100.0;
    }

    /// Whether anybody has spoken.
    pub fn has_spoken(&self) -> bool {
        self.begin.is_some() && self.sound >= WORD
    }

    /// From the first word to the last, in ms.
    pub fn spoke_for(&self) -> u32 {
        self.begin
            .map_or(0, |begin| self.last.saturating_sub(begin))
    }

    /// Ms of it with sound.
    pub fn sound(&self) -> u32 {
        self.sound
    }

    /// How long nobody has spoken, in ms.
    pub fn pause(&self, now: u32) -> u32 {
        now.saturating_sub(self.last)
    }

    /// How loud speech was, in dBov.
    pub fn loudest(&self) -> f32 {
        self.loudest
    }

    /// Whether there was sound for half a second, speech or not.
    pub fn is_loud(&self) -> bool {
        self.heard > 500
    }

    /// Whether it was quiet for so long in the last 320 ms, against what was loud in them.
    pub fn was_quiet(&self, ms: u32) -> bool {
        let count = (ms / HOP) as usize;
        let newest = self.levels.iter().copied().fold(-100.0, f32::max);
        self.levels
            .windows(count)
            .any(|levels| levels.iter().all(|level| *level < newest - BELOW))
    }

    /// Whether what was taken for speech is behind by as much as makes a wait, and it is as loud as ever: that was nobody.
    pub fn is_drowned(&self, now: u32) -> bool {
        let wait = self.wait();
        self.has_spoken() && self.pause(now) >= wait.settled && !self.is_silent()
    }

    fn is_silent(&self) -> bool {
        self.level < self.loudest - SILENT
    }

    fn wait(&self) -> &'static Wait {
        let lasted = self.spoke_for();
        WAITS
            .iter()
            .find(|wait| lasted <= wait.after)
            .unwrap_or(&WAITS[3])
    }

    /// What the rhythm tells at `now`.
    pub fn rhythm(&self, now: u32) -> Rhythm {
        let Some(begin) = self.begin.filter(|_| self.has_spoken()) else {
            return Rhythm::None;
        };
        let (lasted, pause) = (self.spoke_for(), self.pause(now));
        let wait = self.wait();
        let is_silent = self.is_silent();
        if pause >= wait.settled && is_silent {
            return Rhythm::Waits {
                confidence: wait.confidence,
            };
        }
        if pause >= wait.told && is_silent {
            return Rhythm::Pauses {
                confidence: wait.confidence - HASTY,
            };
        }
        let share = self.sound as f32 / (now - begin).max(1) as f32;
        if lasted >= GOES_ON && share >= SPOKEN {
            return Rhythm::GoesOn {
                confidence: (0.8 + (lasted - GOES_ON) as f32 / 20_000.0).min(0.95),
            };
        }
        Rhythm::None
    }
}
