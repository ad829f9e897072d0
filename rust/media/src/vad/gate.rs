//! From steps of sound to speech: opened by the first that is active, told when there is evidence, closed after a pause.
use super::Speech;
use super::judge::Voice;

/// Active sound that is speech, in samples: 60 ms, of which 40 ms with a voice in it.
const SURE: u32 = 480;
const SURE_VOICED: u32 = 320;
/// Without a voice (somebody whispers): 600 ms that rise and fall by 8 dB.
const SURE_UNVOICED: u32 = 4_800;
const UNVOICED_SPREAD: f32 = 8.0;
/// A pause that ends speech: 300 ms.
const PAUSE: u64 = 2_400;
/// One that ends what has not become speech: 100 ms.
const SHORT_PAUSE: u64 = 800;
/// The end of a word is softer than what counts as active: 40 ms.
const TAIL: u64 = 320;
/// Sound without a voice for so long that does not rise and fall by more than 4 dB is noise: 500 ms.
const STEADY: u32 = 4_000;
const STEADY_SPREAD: f32 = 4.0;
/// Concealed sound that prolongs speech at most: 200 ms.
const CONCEALED: u64 = 1_600;

#[derive(Debug, Default)]
pub(super) struct Gate {
    open: Option<Open>,
    /// Samples of speech that have ended.
    spoken: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Open {
    began: u64,
    /// The end of the last sound that counts.
    until: u64,
    /// It has been told as speech.
    told: bool,
    /// Steps of sound since the last that was quiet.
    run: u32,
    /// Active samples. While nothing is told, a quiet step takes away twice its length of these two, and a tone takes all.
    active: u32,
    voiced: u32,
    /// What the last two steps have added to `voiced`.
    credit: [u32; 2],
    /// Samples of noise-like sound, all and since the last voice.
    unvoiced: u32,
    steady: u32,
    /// Active steps, and the levels of all but the first two, which may not be loud from end to end.
    steps: u32,
    loudest: f32,
    softest: f32,
    concealed: u64,
}

impl Open {
    fn duration(&self) -> u64 {
        self.until.saturating_sub(self.began)
    }

    fn spread(&self) -> f32 {
        self.loudest - self.softest
    }

    fn is_sure(&self) -> bool {
        let voiced = self.active >= SURE && self.voiced >= SURE_VOICED;
        voiced || self.unvoiced >= SURE_UNVOICED && self.spread() >= UNVOICED_SPREAD
    }
}

impl Gate {
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    pub fn is_speech(&self) -> bool {
        self.open.is_some_and(|open| open.told)
    }

    /// Samples of speech so far, what goes on included.
    pub fn spoken(&self) -> u64 {
        let open = self.open.filter(|open| open.told);
        self.spoken + open.map_or(0, |open| open.duration())
    }

    /// Whether what keeps the gate open has proven to be noise.
    pub fn is_steady(&self) -> bool {
        self.open
            .is_some_and(|open| open.steady >= STEADY && open.spread() < STEADY_SPREAD)
    }

    /// A step of sound that may be speech.
    pub fn active(&mut self, begin: u64, end: u64, voice: Voice, level: f32) -> Option<Speech> {
        let samples = (end - begin) as u32;
        let opens = self.open.is_none();
        let open = self.open.get_or_insert(Open {
            began: begin,
            ..Open::default()
        });
        open.run += 1;
        open.steps += 1;
        open.active += samples;
        open.concealed = 0;
        // A single step without a voice is a click; it prolongs nothing.
        if opens || open.run > 1 || voice == Voice::Heard {
            open.until = end + TAIL;
        }
        let mut credit = 0;
        match voice {
            Voice::Heard => {
                credit = samples;
                open.voiced += samples;
                open.steady = 0;
            }
            Voice::None => {
                open.unvoiced += samples;
                open.steady += samples;
            }
            Voice::Pure => {}
            Voice::Revoked => {
                open.voiced -= open.credit.iter().sum::<u32>();
                open.credit = [0; 2];
                open.active = 0;
            }
        }
        open.credit = [open.credit[1], credit];
        if open.steps <= 2 {
            (open.loudest, open.softest) = (level, level);
        }
        open.loudest = open.loudest.max(level);
        open.softest = open.softest.min(level);
        if open.told || !open.is_sure() {
            return None;
        }
        open.told = true;
        Some(Speech::Started {
            position: open.began,
            told: end,
        })
    }

    /// A step without sound above the noise.
    pub fn quiet(&mut self, begin: u64, end: u64) -> Option<Speech> {
        let open = self.open.as_mut()?;
        let twice = 2 * (end - begin) as u32;
        open.run = 0;
        open.active = open.active.saturating_sub(twice);
        open.voiced = open.voiced.saturating_sub(twice);
        open.credit = [0; 2];
        self.pause(end)
    }

    /// A step of a tone. What it has opened the gate for was nothing else.
    pub fn tone(&mut self, begin: u64, end: u64) -> Option<Speech> {
        if self.open.is_some_and(|open| !open.told && open.voiced == 0) {
            self.open = None;
        }
        self.quiet(begin, end)
    }

    /// A step made up in place of a loss: it prolongs, and starts nothing.
    pub fn concealed(&mut self, begin: u64, end: u64) -> Option<Speech> {
        let open = self.open.as_mut()?;
        if open.concealed < CONCEALED {
            open.concealed += end - begin;
            open.until += end - begin;
        }
        self.pause(end)
    }

    fn pause(&mut self, end: u64) -> Option<Speech> {
        let open = self.open?;
        let pause = if open.told { PAUSE } else { SHORT_PAUSE };
        if end + TAIL < open.until + pause {
            return None;
        }
        self.open = None;
        if !open.told {
            return None;
        }
        let duration = open.duration();
        self.spoken += duration;
        Some(Speech::Ended {
            position: open.until,
            told: end,
            duration,
        })
    }
}
