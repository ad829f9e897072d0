//! Who has answered a call of ours: a person, a machine and when its greeting is over, a fax, a tone of the network, or nobody.
//!
//! Every 10 ms of the callee's sound are a [`Moment`]: how loud, and whether they are one tone or two. Tones that stay are followed
//! ([`Runs`]) and read as signals ([`Signals`]) or as the beep of a machine; the voice activity of the leg says when somebody speaks, and
//! the rhythm of that ([`Cadence`]) tells a person, who says a few words and waits, from a recording, which goes on. Only what
//! `docs/benchmarks` has of it is claimed. No sockets, no clock, no allocation.
mod cadence;
mod moment;
mod music;
mod run;
mod signals;
mod told;

pub use told::{Correction, Facts, Sign, Sit, Stage, Who, Why};

use crate::uplink::UplinkFrame;
use crate::vad::Vad;
use crate::vad::spectrum::WINDOW;
use cadence::{Cadence, Rhythm};
use moment::Moment;
use music::Music;
use run::{Run, Runs};
use signals::{Signal, Signals};

/// Samples of a moment at 8 kHz, and those of a millisecond.
const HOP_SAMPLES: usize = 80;
const PER_MS: u64 = 8;
/// Nobody has said anything for so long, in ms.
const SILENT: u32 = 4_500;
/// Sound without the rhythm of speech, before it is told that nobody knows what it is.
const UNKNOWN: u32 = 9_000;
/// A machine that says nothing more for so long takes the message, beep or not.
const GREETING_OVER: u32 = 2_200;
/// After a person was told, a beep still tells a machine, for so long.
const SECOND_THOUGHTS: u32 = 12_000;
/// Beeps: where, how long, how pure, how even in dB.
const BEEP: std::ops::RangeInclusive<f32> = 340.0..=2_300.0;
const BEEP_LASTS: std::ops::RangeInclusive<u32> = 70..=2_300;
const BEEP_PURE: f32 = 0.93;
const BEEP_EVEN: f32 = 6.0;
/// A longer one may die away.
const LONG_BEEP: u32 = 250;
const BEEP_FADES: f32 = 11.0;
/// Short ones could be a vowel: those need quiet before them, too.
const SHORT_BEEP: u32 = 160;
/// A greeting before a beep that could be a tone of the network, in ms.
const GREETING: u32 = 700;
/// After a beep there is nothing for so long, in ms; quiet is so far below it, in dB.
const AFTER_BEEP: u32 = 150;
const BEFORE_BEEP: u32 = 60;
const QUIET: f32 = 14.0;
/// A tone that has lasted so long, in ms, is nobody's voice.
const TONE: u32 = 110;
/// A tone that no other follows for so long, in ms, is no busy tone and no ring.
const ALONE: u32 = 5_600;
/// Music is told after so much of it, in ms; it is looked for in sound so long, then in the last of it, so often; a gap ends it.
const MUSIC: u32 = 2_500;
const MUSIC_BEGINS: u32 = 2_000;
const MUSIC_SPAN: u32 = 1_500;
const MUSIC_LOOK: u32 = 200;
const MUSIC_GAP: u32 = 150;
/// A signal so sure is one behind music, too.
const SURE: f32 = 0.95;
/// So much sound, in ms, is more than a breath.
const A_WORD: u32 = 200;
/// The beep of a machine is about as loud as its voice, in dB below the loudest of that.
const SOFTER: f32 = 24.0;

/// Listens to one callee.
#[derive(Debug)]
pub struct WhoAnswered {
    stage: Stage,
    /// When it ends, in ms since it began.
    limit: u32,
    /// Where on the leg's timeline it began.
    origin: Option<u64>,
    /// Who speaks, our own voice or the callee's.
    voice: Vad,
    echo: f32,
    /// Samples that no moment has taken.
    pending: usize,
    now: u32,
    runs: Runs,
    signals: Signals,
    cadence: Cadence,
    /// A tone that may be the beep.
    candidate: Option<Candidate>,
    /// A tone that may be the beep of a machine that said nothing before, or the first of a signal.
    lone: Option<Run>,
    music: Music,
    /// Whether music plays, or noise that was taken for a voice, and since when.
    playing: Option<u32>,
    /// When it was looked for last.
    looked: u32,
    told: Option<Who>,
    told_at: u32,
    /// Whether the one who was told as a person has waited long enough for it.
    settled: bool,
    /// Ms of sound that this one had said by then.
    said: u32,
    greeting_over: bool,
    is_over: bool,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    run: Run,
    /// When sound was heard after it.
    disturbed: bool,
}

impl WhoAnswered {
    /// Listens from the next sound on, for `limit_ms` at most.
    #[must_use]
    pub fn new(stage: Stage, limit_ms: u32) -> Self {
        Self {
            stage,
            limit: limit_ms,
            origin: None,
            voice: Vad::new(),
            echo: f32::NEG_INFINITY,
            pending: 0,
            now: 0,
            runs: Runs::default(),
            signals: Signals::default(),
            cadence: Cadence::default(),
            candidate: None,
            lone: None,
            music: Music::default(),
            playing: None,
            looked: 0,
            told: None,
            told_at: 0,
            settled: false,
            said: 0,
            greeting_over: false,
            is_over: false,
        }
    }

    /// Whether nothing more is told.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Hears a frame of the leg's timeline, while our own voice may come back as loud as `echo` dBov.
    pub fn hear(&mut self, frame: &UplinkFrame<'_>, echo: f32, mut tell: impl FnMut(Sign)) {
        self.voice.hear(frame, |_| {});
        self.echo = echo;
        let begin = *self.origin.get_or_insert(frame.position);
        self.pending =
            (self.pending + frame.ticks() as usize).min(self.voice.recent().len() - WINDOW);
        let end = (frame.position.saturating_sub(begin) + u64::from(frame.ticks())) / PER_MS;
        while self.pending >= HOP_SAMPLES && !self.is_over {
            self.pending -= HOP_SAMPLES;
            self.now = (end as u32).saturating_sub((self.pending as u64 / PER_MS) as u32);
            let recent = self.voice.recent();
            if let Some(window) = recent[..recent.len() - self.pending].last_chunk::<WINDOW>() {
                self.step(&Moment::of(window), &mut tell);
            }
        }
    }

    fn step(&mut self, moment: &Moment, tell: &mut impl FnMut(Sign)) {
        let now = self.now;
        if now >= self.limit {
            return self.end(tell);
        }
        let ended = self.runs.take(moment, now);
        let current = self.runs.current();
        let tone = current.filter(|run| run.lasted() >= TONE && run.spread() < BEEP_EVEN);
        self.cadence
            .take(moment, &self.voice, self.echo, tone.is_some(), now);
        self.music.take(moment);
        if let Some(tone) = tone {
            self.cadence.revoke(tone.begin);
        }
        if let Some(run) = ended {
            self.tone_ended(run, tell);
        }
        if let Some(run) = current
            && let Some(signal) = self.signals.going_on(&run)
        {
            self.signal(signal, tell);
        }
        self.look_for_beep(moment, current, tell);
        if !self.is_over {
            self.judge(tell);
        }
    }

    fn tone_ended(&mut self, run: Run, tell: &mut impl FnMut(Sign)) {
        let heard_speech = self.cadence.has_spoken();
        self.lone = None;
        if let Some(signal) = self.signals.ended(run, heard_speech) {
            self.candidate = None;
            return self.signal(signal, tell);
        }
        let is_beep = BEEP.contains(&run.hertz[0])
            && BEEP_LASTS.contains(&run.lasted())
            && run.purity >= BEEP_PURE
            && run.spread()
                <= if run.lasted() >= LONG_BEEP {
                    BEEP_FADES
                } else {
                    BEEP_EVEN
                }
            && !run.is_key
            && !run.is_voice()
            && run.loudest > self.cadence.loudest() - SOFTER
            && (run.lasted() >= SHORT_BEEP || self.cadence.was_quiet(BEFORE_BEEP))
            && !Signals::is_of_network(&run)
            && self.stage == Stage::Answered;
        // Without some words before it, it may be the first of a busy tone, or a ring.
        if self.cadence.spoke_for() < GREETING && Signals::may_be_part(&run) {
            self.lone = Some(run).filter(|_| is_beep);
        } else if is_beep {
            self.candidate = Some(Candidate {
                run,
                disturbed: false,
            });
        }
    }

    /// A beep is one if nothing follows it.
    fn look_for_beep(
        &mut self,
        moment: &Moment,
        current: Option<Run>,
        tell: &mut impl FnMut(Sign),
    ) {
        let Some(candidate) = &mut self.candidate else {
            return;
        };
        let run = candidate.run;
        let since = self.now.saturating_sub(run.end);
        // The window holds the end of the tone for a while.
        if since > 40 && moment.level > run.loudest - QUIET {
            candidate.disturbed = true;
        }
        let another =
            |current: Run| current.begin > run.end && current.loudest > run.loudest - QUIET;
        if candidate.disturbed || current.is_some_and(another) {
            self.candidate = None;
        } else if since >= AFTER_BEEP {
            self.candidate = None;
            self.beep(run, tell);
        }
    }

    fn beep(&mut self, run: Run, tell: &mut impl FnMut(Sign)) {
        let changes = match self.told {
            Some(Who::Machine) => false,
            Some(Who::Human) if self.now > self.told_at + SECOND_THOUGHTS => return,
            Some(Who::Fax | Who::Sit | Who::BusyTone) => return,
            _ => true,
        };
        if changes {
            let confidence = match (self.cadence.has_spoken(), self.told) {
                (true, Some(Who::Human)) if self.settled => 0.85,
                (true, _) => 0.97,
                (false, _) => 0.75,
            };
            self.verdict(Why::Beep, confidence, Some((&run, 1)), tell);
        }
        let beep = Some((run.hertz[0].round() as u32, run.lasted()));
        self.over(beep, tell);
    }

    fn signal(&mut self, signal: Signal, tell: &mut impl FnMut(Sign)) {
        let who = signal.why.who();
        // Whoever was heard speaking makes no sound of the network; but an announcement may follow or come before special information.
        let stands = match self.told {
            Some(told) if told == who && signal.count <= 3 => true,
            Some(Who::Human) => who != Who::Sit,
            // A melody may have such notes.
            Some(Who::Music) => signal.confidence < SURE,
            Some(Who::Machine) => !matches!(who, Who::Sit | Who::BusyTone | Who::Fax),
            Some(Who::Fax | Who::Sit | Who::BusyTone) => true,
            _ => false,
        };
        if stands {
            return;
        }
        self.verdict(
            signal.why,
            signal.confidence,
            Some((&signal.run, signal.count)),
            tell,
        );
        if who.is_final() && signal.confidence > 0.8 {
            self.end(tell);
        }
    }

    fn judge(&mut self, tell: &mut impl FnMut(Sign)) {
        if self.stage == Stage::Early {
            if self.told.is_none() && self.cadence.spoke_for() >= MUSIC_SPAN {
                let why = if self.is_no_speech() {
                    Why::Music
                } else {
                    Why::Announcement
                };
                self.verdict(why, 0.7, None, tell);
            }
            return;
        }
        if let Some(signal) = self.signals.quiet(self.now, self.cadence.has_spoken())
            && self.told != Some(Who::NoOne)
            && !self.told.is_some_and(Who::is_final)
        {
            self.signal(signal, tell);
        }
        match self.told {
            Some(Who::Human) => {
                self.settle(tell);
                if self.now > self.told_at + SECOND_THOUGHTS {
                    self.end(tell);
                }
            }
            Some(Who::Machine) => {
                let waits = self.candidate.is_none() && !self.runs.may_go_on();
                if waits
                    && self.cadence.pause(self.now) >= GREETING_OVER
                    && self.now > self.told_at + GREETING_OVER / 2
                {
                    self.over(None, tell);
                }
            }
            Some(Who::Fax | Who::Sit | Who::BusyTone) => {}
            Some(Who::NoOne | Who::Silence | Who::Music | Who::Unknown) | None => match self.lone {
                Some(lone)
                    if self.now > lone.end + ALONE
                        && !self.cadence.has_spoken()
                        && !self.runs.may_go_on() =>
                {
                    self.beep(lone, tell);
                }
                _ => self.judge_speech(tell),
            },
        }
    }

    /// Whether the one who was told as a person has waited, or has gone on as no person does.
    fn settle(&mut self, tell: &mut impl FnMut(Sign)) {
        if self.settled {
            return;
        }
        match self.cadence.rhythm(self.now) {
            Rhythm::Waits { .. } => self.settled = true,
            // "Please hold", and then it plays.
            Rhythm::GoesOn { .. } if self.is_no_speech() => self.settled = true,
            Rhythm::GoesOn { confidence } => self.verdict(Why::LongSpeech, confidence, None, tell),
            Rhythm::Pauses { .. } | Rhythm::None => {}
        }
    }

    /// Whether what the cadence takes for speech is none.
    fn is_no_speech(&self) -> bool {
        let (spoke, pause) = (self.cadence.spoke_for(), self.cadence.pause(self.now));
        let again = self.told == Some(Who::Music);
        self.music.is_no_speech(spoke + pause, pause, again)
    }

    /// Keeps music from being taken for speech.
    fn hear_music(&mut self, tell: &mut impl FnMut(Sign)) {
        let is_due = self.now >= self.looked + MUSIC_LOOK;
        if is_due {
            self.looked = self.now;
        }
        if let Some(since) = self.playing {
            let is_over = is_due && !self.music.is_no_speech(MUSIC_SPAN, 0, true);
            if is_over || self.cadence.was_quiet(MUSIC_GAP) {
                self.playing = None;
            }
            self.cadence.restart();
            if self.now > since + MUSIC && self.told.is_none() && self.music.is_tonal(MUSIC) {
                self.verdict(Why::Music, 0.8, None, tell);
            }
            return;
        }
        // A beep behind the words is none of that.
        if !self.runs.may_go_on() && self.cadence.is_drowned(self.now) {
            self.cadence.restart();
        }
        let decides = self.cadence.rhythm(self.now) != Rhythm::None;
        if (decides || is_due && self.cadence.spoke_for() >= MUSIC_BEGINS) && self.is_no_speech() {
            self.playing = Some(self.now.saturating_sub(self.cadence.spoke_for()));
            self.cadence.restart();
        }
    }

    fn judge_speech(&mut self, tell: &mut impl FnMut(Sign)) {
        let waits = self.candidate.is_some() || self.runs.may_go_on();
        self.hear_music(tell);
        match self.cadence.rhythm(self.now) {
            Rhythm::Waits { confidence } if !waits => {
                self.verdict(Why::ShortThenSilence, confidence, None, tell)
            }
            // Music rests as long.
            Rhythm::Pauses { confidence } if !waits && self.told != Some(Who::Music) => {
                self.verdict(Why::ShortThenSilence, confidence, None, tell)
            }
            Rhythm::GoesOn { confidence } => self.verdict(Why::LongSpeech, confidence, None, tell),
            Rhythm::None | Rhythm::Pauses { .. } | Rhythm::Waits { .. } => {
                if self.told.is_some() {
                    return;
                }
                if !self.cadence.has_spoken()
                    && self.now >= SILENT
                    && !waits
                    && !self.signals.has_begun()
                {
                    if self.cadence.is_loud() {
                        self.steady(tell);
                    } else {
                        self.verdict(Why::Silence, 0.9, None, tell);
                    }
                } else if self.now >= UNKNOWN {
                    self.steady(tell);
                }
            }
        }
    }

    /// There is sound, and no speech.
    fn steady(&mut self, tell: &mut impl FnMut(Sign)) {
        let (why, confidence) = if self.music.is_tonal(SILENT) {
            (Why::Music, 0.7)
        } else {
            (Why::Steady, 0.5)
        };
        self.verdict(why, confidence, None, tell);
    }

    fn verdict(
        &mut self,
        why: Why,
        confidence: f32,
        tone: Option<(&Run, u32)>,
        tell: &mut impl FnMut(Sign),
    ) {
        let who = why.who();
        let corrects = match (self.told, who) {
            (Some(Who::Human), Who::Machine) if !self.settled => Some(Correction::Hasty),
            (Some(Who::Human), Who::Machine) if self.cadence.sound() < self.said + A_WORD => {
                Some(Correction::Beep)
            }
            _ => None,
        };
        if who == Who::Human {
            self.said = self.cadence.sound();
        }
        self.told = Some(who);
        self.told_at = self.now;
        let mut facts = Facts {
            speech_ms: self.cadence.spoke_for(),
            pause_ms: if self.cadence.has_spoken() {
                self.cadence.pause(self.now)
            } else {
                self.now
            },
            corrects,
            ..Facts::default()
        };
        if let Some((run, tones)) = tone {
            facts.hertz = run.hertz[0].round() as u32;
            facts.second_hertz = run.hertz[1].round() as u32;
            facts.tone_ms = run.lasted();
            facts.tones = tones;
        }
        let confidence = (100.0 * confidence).round() as u8;
        tell(Sign::Verdict {
            who,
            why,
            confidence,
            at_ms: self.now,
            facts,
        });
    }

    fn over(&mut self, beep: Option<(u32, u32)>, tell: &mut impl FnMut(Sign)) {
        if !self.greeting_over {
            self.greeting_over = true;
            tell(Sign::GreetingOver {
                at_ms: self.now,
                beep,
            });
        }
        self.end(tell);
    }

    fn end(&mut self, tell: &mut impl FnMut(Sign)) {
        if self.is_over {
            return;
        }
        if self.told == Some(Who::Machine) && !self.greeting_over && self.stage == Stage::Answered {
            self.greeting_over = true;
            tell(Sign::GreetingOver {
                at_ms: self.now,
                beep: None,
            });
        }
        self.is_over = true;
        tell(Sign::Over);
    }
}
