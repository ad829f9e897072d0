//! Signals of the network and of machines, told by their tones: special information, busy, ringing, fax.
use super::run::Run;
use super::{Sit, Why};

/// Call progress tones lie here (E.180): one, or two together.
const PROGRESS: std::ops::Range<f32> = 330.0..660.0;
/// Tones of it that are remembered.
const KEPT: usize = 4;
/// Busy and congestion: sound and pause last so long, in ms.
const SHORT: std::ops::RangeInclusive<u32> = 150..=850;
/// A sound of the ringing tone is at least so long, the pause between two rings too, and no longer than the most.
const RING: u32 = 300;
const RING_PAUSE: std::ops::RangeInclusive<u32> = 1_400..=5_500;
/// A single tone so long is a ring; a longer one is the dial tone.
const ONE_RING: std::ops::RangeInclusive<u32> = 850..=2_300;
const DIAL_TONE: u32 = 2_600;
const HIGHEST_RING: f32 = 510.0;
/// What is shorter, or so far below, is a scrap of something else.
const SCRAP: u32 = 100;
const FAR_BELOW: f32 = 12.0;
/// Two tones that networks alone have together, and how far each may be off: US busy, US ringing, US dial tone.
const PAIRS: [[f32; 2]; 3] = [[480.0, 620.0], [440.0, 480.0], [350.0, 440.0]];
const PAIR_OFF: f32 = 12.0;
/// The three tones of special information (E.180, Q.35), how far each may be off, how long it lasts, and what is between two.
const SIT: [f32; 3] = [950.0, 1_400.0, 1_790.0];
const SIT_OFF: f32 = 65.0;
const SIT_LASTS: std::ops::RangeInclusive<u32> = 180..=520;
const SIT_GAP: u32 = 90;
/// North America tells by pitch and length which (GR-1162): where low ends and high begins, and short and long.
const MIDDLE: [f32; 2] = [949.5, 1_399.5];
const LONG: u32 = 327;
/// How near to its own pitch a tone of North America's has to be.
const EXACT: f32 = 14.0;
/// A calling fax: 1100 Hz, half a second each three (T.30).
const CNG: f32 = 1_100.0;
const CNG_OFF: f32 = 38.0;
const CNG_LASTS: std::ops::RangeInclusive<u32> = 400..=640;
/// An answering fax or modem: 2100 Hz for more than two seconds (V.25).
const CED: f32 = 2_100.0;
const CED_OFF: f32 = 25.0;
const CED_LASTS: u32 = 800;

/// What tones have come to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Signal {
    pub why: Why,
    pub confidence: f32,
    /// The last of its tones.
    pub run: Run,
    /// How many tones told it.
    pub count: u32,
}

#[derive(Debug, Default)]
pub(super) struct Signals {
    /// The last call progress tones, the newest last.
    progress: [Option<Run>; KEPT],
    /// The last two of three.
    information: [Option<Run>; 2],
    calling_tones: u32,
    last_calling: u32,
}

fn is_progress(run: &Run) -> bool {
    PROGRESS.contains(&run.hertz[0]) && (run.hertz[1] == 0.0 || PROGRESS.contains(&run.hertz[1]))
}

fn is_alike(a: &Run, b: &Run) -> bool {
    (a.hertz[0] - b.hertz[0]).abs() < 60.0 || (a.hertz[0] - b.hertz[1]).abs() < 30.0
}

impl Signals {
    /// A tone that goes on: what it is by its length alone.
    pub fn going_on(&self, run: &Run) -> Option<Signal> {
        let signal = |why, confidence| {
            Some(Signal {
                why,
                confidence,
                run: *run,
                count: 1,
            })
        };
        if run.is_near(CED, CED_OFF) && run.lasted() >= CED_LASTS {
            return signal(Why::AnswerTone, 0.95);
        }
        if is_progress(run) && run.lasted() >= DIAL_TONE {
            return signal(Why::DialTone, 0.8);
        }
        None
    }

    /// A tone has ended.
    pub fn ended(&mut self, run: Run, heard_speech: bool) -> Option<Signal> {
        self.information(run)
            .or_else(|| self.calling(run, heard_speech))
            .or_else(|| self.progress(run))
    }

    /// Whether a single tone may be part of a signal that is not complete.
    pub fn may_be_part(run: &Run) -> bool {
        is_progress(run) && run.lasted() >= *SHORT.start()
    }

    /// Whether it is a pair of tones that no machine beeps with.
    pub fn is_of_network(run: &Run) -> bool {
        let [one, other] = run.hertz;
        let (low, high) = (one.min(other), one.max(other));
        let near =
            |pair: &[f32; 2]| (low - pair[0]).abs() < PAIR_OFF && (high - pair[1]).abs() < PAIR_OFF;
        PAIRS.iter().any(near)
    }

    /// Whether a tone was heard that may be the first of a signal.
    pub fn has_begun(&self) -> bool {
        self.progress[KEPT - 1].is_some()
    }

    /// Nothing was heard since `now - quiet`: a ring that was alone so far is one.
    pub fn quiet(&self, now: u32, heard_speech: bool) -> Option<Signal> {
        let run = self.progress[KEPT - 1]?;
        let is_ring = ONE_RING.contains(&run.lasted())
            && run.hertz[0] < HIGHEST_RING
            && now.saturating_sub(run.end) >= *RING_PAUSE.start();
        (is_ring && !heard_speech).then_some(Signal {
            why: Why::Ringing,
            confidence: 0.7,
            run,
            count: 1,
        })
    }

    fn information(&mut self, run: Run) -> Option<Signal> {
        let fits = |run: &Run, place: usize| {
            run.is_near(SIT[place], SIT_OFF) && SIT_LASTS.contains(&run.lasted())
        };
        let follows = |before: &Run, after: &Run| after.begin.saturating_sub(before.end) <= SIT_GAP;
        let [first, second] = self.information;
        self.information = [second, Some(run)];
        let (first, second) = (first?, second?);
        let told = fits(&first, 0) && fits(&second, 1) && fits(&run, 2);
        if !(told && follows(&first, &second) && follows(&second, &run)) {
            return None;
        }
        self.information = [None; 2];
        Some(Signal {
            why: Why::Information(which(&first, &second, &run)),
            confidence: 0.98,
            run,
            count: 3,
        })
    }

    fn calling(&mut self, run: Run, heard_speech: bool) -> Option<Signal> {
        if !(run.is_near(CNG, CNG_OFF) && CNG_LASTS.contains(&run.lasted())) {
            return None;
        }
        let since = run.begin.saturating_sub(self.last_calling);
        self.last_calling = run.begin;
        self.calling_tones = if (3_000..=4_200).contains(&since) {
            self.calling_tones + 1
        } else {
            1
        };
        let confidence = match self.calling_tones {
            // A beep of a machine may be like one of them.
            1 if heard_speech => return None,
            1 => 0.6,
            _ => 0.97,
        };
        Some(Signal {
            why: Why::CallingTone,
            confidence,
            run,
            count: self.calling_tones,
        })
    }

    fn progress(&mut self, run: Run) -> Option<Signal> {
        let last = self.progress[KEPT - 1];
        if run.lasted() < SCRAP || last.is_some_and(|last| run.loudest < last.loudest - FAR_BELOW) {
            return None;
        }
        if !is_progress(&run) {
            self.progress = [None; KEPT];
            return None;
        }
        self.progress.rotate_left(1);
        self.progress[KEPT - 1] = Some(run);
        let signal = |why, confidence, count| {
            Some(Signal {
                why,
                confidence,
                run,
                count,
            })
        };
        // Sound and pauses back from the newest, as long as they are a busy tone's.
        let mut count = 0;
        let mut before: Option<Run> = None;
        let (mut longest_pause, mut sounds) = (0, 0);
        for kept in self.progress.iter().rev() {
            let Some(kept) = kept.filter(|kept| SHORT.contains(&kept.lasted())) else {
                break;
            };
            if let Some(before) = before {
                let pause = before.begin.saturating_sub(kept.end);
                if !SHORT.contains(&pause) || !is_alike(&before, &kept) {
                    break;
                }
                longest_pause = longest_pause.max(pause);
            }
            sounds += kept.lasted();
            count += 1;
            before = Some(kept);
        }
        if count >= 3 {
            let fast = sounds / count < 320 && longest_pause < 320;
            let why = if fast { Why::Congestion } else { Why::Busy };
            return signal(why, if count > 3 { 0.97 } else { 0.9 }, count);
        }
        let last = self.progress[KEPT - 2];
        let rings = last.is_some_and(|last| {
            let pause = run.begin.saturating_sub(last.end);
            RING_PAUSE.contains(&pause)
                && run.lasted() >= RING
                && last.lasted() >= RING
                && is_alike(&last, &run)
        });
        if rings {
            return signal(Why::Ringing, 0.95, 2);
        }
        None
    }
}

/// Which special information it is, where the tones are those of North America.
fn which(first: &Run, second: &Run, third: &Run) -> Sit {
    let near = |run: &Run, places: [f32; 2]| {
        places
            .iter()
            .any(|place| (run.hertz[0] - place).abs() < EXACT)
    };
    let exact = near(first, [913.8, 985.2])
        && near(second, [1_370.6, 1_428.5])
        && near(third, [1_776.7; 2]);
    let high = [first.hertz[0] > MIDDLE[0], second.hertz[0] > MIDDLE[1]];
    let long = [first.lasted() > LONG, second.lasted() > LONG];
    match (exact, high, long) {
        (true, [false, false], [false, false]) => Sit::Intercept,
        (true, [true, false], [true, false]) => Sit::Vacant,
        (true, [true, false] | [false, true], [false, true]) => Sit::Reorder,
        (true, [true, true] | [false, false], [true, true]) => Sit::NoCircuit,
        _ => Sit::General,
    }
}
