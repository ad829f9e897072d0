//! Barge-in: the caller speaks while the agent does. What is to become of the agent's voice is decided here, frame by frame.
//!
//! Sound that opens the gate while the agent's voice leaves begins an *attempt*. The network listens from there on (a little in arrears, so that
//! it knows what went before), twice at first, since a click and the beginning of a word differ by what comes next, and then tells for every
//! 32 ms how likely they are to be speech. Two chunks in a row make it sure that the caller speaks; [`STOPS`] of speech that it is no word in
//! passing; [`GIVES_UP`] without any that it was nothing. Where no network is to be had (no weights, no seat) the gate decides alone, by what
//! it calls active. All times are of the caller's timeline, so no clock is asked.
use crate::clock::Time;
use crate::uplink::{Fill, UplinkFrame};
use crate::vad::Vad;
use crate::vad::listeners::{Listeners, Ticket};

/// What the gateway does by itself when the caller speaks over the agent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Policy {
    /// Nothing.
    Off,
    /// The agent falls silent as soon as it is sure that the caller speaks.
    Clear,
    /// Its voice is lowered at once; it falls silent if the caller goes on, and comes back if it was a word in passing or a noise.
    #[default]
    DuckThenDecide,
    /// The agent is told once it is sure that the caller speaks, and does what it likes.
    Agent,
}

impl Policy {
    /// Reads the name that configuration and agents use.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "off" => Self::Off,
            "clear" => Self::Clear,
            "duck-then-decide" => Self::DuckThenDecide,
            "agent" => Self::Agent,
            _ => return None,
        })
    }
}

/// What is to be done. `since` is where on the caller's timeline, 8 kHz, it began.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Lower the agent's voice.
    Duck,
    /// Let it be as loud as before; the caller `spoke`, though not for long.
    GoOn {
        /// Where it began.
        since: u64,
        /// It was a word in passing, and no noise.
        spoke: bool,
    },
    /// Tell the agent that the caller speaks over it.
    Tell {
        /// Where it began.
        since: u64,
    },
    /// The agent is to fall silent.
    Interrupt {
        /// Where it began.
        since: u64,
    },
}

impl Action {
    /// The same without a word of the caller's.
    fn without_word(self) -> Self {
        match self {
            Self::GoOn { since, .. } => Self::GoOn {
                since,
                spoke: false,
            },
            other => other,
        }
    }
}

/// A chunk so likely to be speech counts as speech.
const LIKELY: f32 = 0.5;
/// The voice is lowered for what is at least so likely to be speech: with the first frame, and from the second on.
const DUCKS_AT_ONCE: f32 = 0.1;
const DUCKS: f32 = 0.04;
/// Chunks in a row, or steps of the gate, that make it sure; one that is [`CERTAIN`] counts for two.
const SURE: u32 = 2;
const CERTAIN: f32 = 0.6;
/// From here on a chunk is a hint, of which it takes two.
const HINT: f32 = 0.3;
/// Speech that is no word in passing, in ticks: 400 ms.
pub const STOPS: u32 = 3_200;
/// So much without any speech was nothing: 240 ms after speech, 128 ms where there was none before, and a chunk where it is silent again.
const GIVES_UP: u32 = 1_920;
const NEVER_MIND: u32 = 1_024;
const CLICK: u32 = Likely::CHUNK;
/// What is less likely than this to be speech, with nothing heard behind it, was a click.
const CLICKS: f32 = 0.06;
/// Speech that is worth a word to the agent though it was in passing: 96 ms.
const WORD: u32 = 768;
/// The network's word counts as long as the gate has found something within so much: 60 ms.
const HEARD_LATELY: u32 = 480;
/// The agent is still speaking so long after its last frame: 200 ms.
const STILL: u32 = 1_600;

/// One leg's barge-in.
#[derive(Debug, Default)]
pub struct BargeIn {
    attempt: Option<Attempt>,
    /// Since the agent's last frame.
    silent: u32,
    attempts: u64,
    by_gate: u64,
}

#[derive(Debug)]
struct Attempt {
    since: u64,
    seat: Option<Ticket>,
    speech: u32,
    /// Since the last speech.
    without: u32,
    /// Since the gate found something.
    inactive: u32,
    sure: u32,
    /// How likely the newest is to be speech, by the network.
    newest: Option<f32>,
    /// Frames so far, up to two.
    frames: u8,
    ducked: bool,
    /// It was nothing so far.
    dismissed: bool,
    told: bool,
}

impl BargeIn {
    /// Attempts so far.
    pub fn attempts(&self) -> u64 {
        self.attempts
    }

    /// Those of them in which the gate decided alone.
    pub fn by_gate(&self) -> u64 {
        self.by_gate
    }

    /// Takes a frame that `voice` has heard. `speaking`: the agent's voice leaves; `policy`: what its utterance asks for.
    pub fn hear(
        &mut self,
        now: Time,
        frame: &UplinkFrame<'_>,
        voice: &Vad,
        speaking: bool,
        policy: Policy,
        mut listeners: Option<&mut Listeners>,
    ) -> Option<Action> {
        let ticks = frame.ticks();
        self.silent = if speaking {
            0
        } else {
            self.silent.saturating_add(ticks)
        };
        if policy == Policy::Off || self.silent > STILL {
            // Nothing comes back that a word in passing was said over.
            return self.end(listeners).map(Action::without_word);
        }
        if !voice.is_open() {
            return self.end(listeners);
        }
        let active = voice.is_active() && frame.fill == Fill::Heard;
        let mut likely = Likely::default();
        let attempt = match &mut self.attempt {
            Some(attempt) => {
                attempt.inactive = if active { 0 } else { attempt.inactive + ticks };
                let anew = attempt.frames < 2;
                attempt.frames = 2;
                if let Some(seat) = attempt.seat {
                    let recent = voice.recent();
                    let fresh = &recent[recent.len() - (ticks as usize).min(recent.len())..];
                    let mut add = |p| likely.add(p);
                    let heard = listeners.as_deref_mut().is_some_and(|all| match anew {
                        true => all.hear_anew(seat, now, recent, &mut add),
                        false => all.hear(seat, now, fresh, &mut add),
                    });
                    if heard && anew {
                        attempt.forget();
                    }
                    if !heard {
                        attempt.seat = None;
                    }
                }
                attempt
            }
            None if active && speaking => {
                let seat = listeners
                    .as_deref_mut()
                    .and_then(|all| all.sit(now, voice.recent(), &mut |p| likely.add(p)));
                self.attempts += 1;
                self.by_gate += u64::from(seat.is_none());
                self.attempt.insert(Attempt {
                    since: frame.position,
                    seat,
                    speech: 0,
                    without: 0,
                    inactive: 0,
                    sure: 0,
                    newest: None,
                    frames: 1,
                    ducked: false,
                    dismissed: false,
                    told: false,
                })
            }
            None => return None,
        };
        if attempt.seat.is_none() {
            likely = Likely::by_gate(active, ticks);
        }
        attempt.weigh(likely);
        let action = attempt.decide(policy, likely);
        if let (Some(seat), Some(listeners)) = (attempt.seat, listeners.as_deref_mut()) {
            listeners.idle(seat, attempt.dismissed);
        }
        if matches!(action, Some(Action::Interrupt { .. })) {
            self.attempt.as_mut()?.ducked = false;
            self.end(listeners);
        }
        action
    }

    /// The agent's voice is gone, and so is what the caller was going to do to it.
    pub fn end(&mut self, listeners: Option<&mut Listeners>) -> Option<Action> {
        let attempt = self.attempt.take()?;
        if let (Some(seat), Some(listeners)) = (attempt.seat, listeners) {
            listeners.rise(seat);
        }
        attempt.ducked.then_some(Action::GoOn {
            since: attempt.since,
            spoke: attempt.speech >= WORD,
        })
    }
}

/// What was heard with a frame: ticks of speech and of none, and how likely the newest is.
#[derive(Clone, Copy, Debug, Default)]
struct Likely {
    judged: u32,
    speech: u32,
    sure: u32,
    /// A chunk was not even a hint.
    doubt: bool,
    without: u32,
    newest: Option<f32>,
}

impl Likely {
    const CHUNK: u32 = crate::vad::network::CHUNK as u32;

    fn add(&mut self, likely: f32) {
        self.judged += 1;
        self.newest = Some(likely);
        if likely >= LIKELY {
            self.speech += Self::CHUNK;
            self.without = 0;
        } else {
            self.without += Self::CHUNK;
        }
        if likely >= CERTAIN {
            self.sure += 2;
        } else if likely >= HINT {
            self.sure += 1;
        } else {
            self.sure = 0;
            self.doubt = true;
        }
    }

    fn by_gate(active: bool, ticks: u32) -> Self {
        Self {
            judged: 1,
            speech: if active { ticks } else { 0 },
            sure: u32::from(active),
            doubt: !active,
            without: if active { 0 } else { ticks },
            newest: None,
        }
    }
}

impl Attempt {
    /// What was judged is judged anew; it is no longer than it was, but the network was asked twice.
    fn forget(&mut self) {
        (self.speech, self.without) = (0, 0);
    }

    fn weigh(&mut self, likely: Likely) {
        if likely.judged == 0 {
            return;
        }
        self.newest = likely.newest;
        // Our own echo is speech to the network; where the gate finds nothing above it, it is only that.
        let heard = self.inactive <= HEARD_LATELY;
        self.sure = match (heard, likely.doubt) {
            (true, false) => self.sure + likely.sure,
            (true, true) => likely.sure,
            (false, _) => 0,
        };
        if likely.speech > 0 && heard {
            self.speech += likely.speech;
            self.without = likely.without;
        } else {
            self.without += likely.speech + likely.without;
        }
    }

    fn decide(&mut self, policy: Policy, likely: Likely) -> Option<Action> {
        let since = self.since;
        if self.dismissed && self.without == 0 {
            self.dismissed = false;
            self.speech = likely.speech;
        }
        let sure = self.sure >= SURE;
        match policy {
            Policy::Off => None,
            Policy::Clear => sure.then_some(Action::Interrupt { since }),
            Policy::Agent => {
                let first = sure && !self.told;
                self.told |= sure;
                first.then_some(Action::Tell { since })
            }
            Policy::DuckThenDecide => {
                if self.speech >= STOPS {
                    return Some(Action::Interrupt { since });
                }
                let over = self.inactive > 0 && self.newest.is_some_and(|newest| newest < CLICKS);
                let patience = match (self.speech > 0, over) {
                    (true, _) => GIVES_UP,
                    (false, true) => CLICK,
                    (false, false) => NEVER_MIND,
                };
                if self.without >= patience {
                    self.dismissed = true;
                    let spoke = self.speech >= WORD;
                    self.speech = 0;
                    let ducked = std::mem::take(&mut self.ducked);
                    return ducked.then_some(Action::GoOn { since, spoke });
                }
                let ducks = if self.frames < 2 {
                    DUCKS_AT_ONCE
                } else {
                    DUCKS
                };
                let unlikely = self.newest.is_some_and(|newest| newest < ducks);
                if self.ducked || self.dismissed || unlikely {
                    return None;
                }
                self.ducked = true;
                Some(Action::Duck)
            }
        }
    }
}
