//! Digits as event packets, and what stands between them.
use super::{Digit, Event};
use crate::clock::duration_of;
use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Most digits waiting to be sent.
pub const MAX_DIGITS: usize = 128;
/// Power of the tones named in events: -10 dBm0.
const VOLUME: u8 = 10;
/// How often the end of an event is sent (section 2.5.1.4).
const END_PACKETS: u8 = 3;

/// How long digits are keyed, at most 8 s: what one event can name; and the silence behind each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyTiming {
    /// The key is down.
    pub lasts: Duration,
    /// No key is.
    pub gap: Duration,
}

impl KeyTiming {
    /// From what every detector takes for a key to what one event can name.
    pub const POSSIBLE: RangeInclusive<Duration> =
        Duration::from_millis(40)..=Duration::from_millis(8_000);
}

impl Default for KeyTiming {
    fn default() -> Self {
        KeyTiming {
            lasts: Duration::from_millis(160),
            gap: Duration::from_millis(80),
        }
    }
}

/// A digit to be keyed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Key {
    /// Which.
    pub digit: Digit,
    /// For how long.
    pub timing: KeyTiming,
    /// The place in all sound that was ever pushed to playout that it comes behind.
    pub after: u64,
}

impl Key {
    /// A digit keyed as usual, at once.
    pub fn of(digit: Digit) -> Self {
        Key {
            digit,
            timing: KeyTiming::default(),
            after: 0,
        }
    }
}

/// One packet of an event to send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EventPacket {
    /// First packet of the event.
    pub marker: bool,
    /// The event has ended with the packet before, and this says so again.
    pub again: bool,
    /// Where the event began; to be the packet's timestamp.
    pub timestamp: u32,
    /// Its payload.
    pub event: Event,
}

/// What a tick of the leg sends while digits are being keyed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tick {
    /// An event packet in place of audio.
    Packet(EventPacket),
    /// Silence between digits.
    Gap,
    /// Nothing is being keyed.
    Idle,
}

#[derive(Clone, Copy, Debug)]
enum Sending {
    Idle,
    Key {
        key: Key,
        began: u32,
        ends_sent: u8,
        duration: u32,
    },
    Gap {
        left: u32,
    },
}

/// Keys digits: one packet a tick, three end packets, then a gap.
#[derive(Debug)]
pub struct EventSender {
    clock_rate: u32,
    waiting: VecDeque<Key>,
    sending: Sending,
}

impl EventSender {
    /// A sender on a clock of `clock_rate` Hz.
    pub fn new(clock_rate: u32) -> Self {
        EventSender {
            clock_rate,
            waiting: VecDeque::with_capacity(MAX_DIGITS),
            sending: Sending::Idle,
        }
    }

    /// Puts a digit behind those waiting; `false` if there are too many.
    pub fn push(&mut self, key: Key) -> bool {
        let room = self.waiting.len() < MAX_DIGITS;
        if room {
            self.waiting.push_back(key);
        }
        room
    }

    /// Whether a digit is being keyed, or one waits whose turn it is once sound has left up to the place `left`.
    pub fn is_due(&self, left: u64) -> bool {
        let next = self.waiting.front();
        !matches!(self.sending, Sending::Idle) || next.is_some_and(|key| key.after <= left)
    }

    /// Whether digits are being keyed or waiting.
    pub fn is_busy(&self) -> bool {
        !matches!(self.sending, Sending::Idle) || !self.waiting.is_empty()
    }

    /// The key that is being sent.
    pub fn key(&self) -> Option<Key> {
        match &self.sending {
            Sending::Key { key, .. } => Some(*key),
            Sending::Idle | Sending::Gap { .. } => None,
        }
    }

    /// Nothing can be sent for now: of the key that is being pressed, only its end will be.
    pub fn interrupt(&mut self) {
        if let Sending::Key { key, duration, .. } = &mut self.sending {
            let lasted = duration_of(u64::from(*duration), self.clock_rate);
            key.timing.lasts = key.timing.lasts.min(lasted);
        }
    }

    /// Forgets the digits that wait, and says how many; the one being keyed ends as it should.
    pub fn clear(&mut self) -> usize {
        self.waiting.drain(..).count()
    }

    /// What leaves at the tick whose timestamp is `timestamp`, a tick being `step` units long; the next digit's turn has come.
    pub fn tick(&mut self, timestamp: u32, step: u32) -> Tick {
        if let Sending::Idle = self.sending {
            let Some(key) = self.waiting.pop_front() else {
                return Tick::Idle;
            };
            self.sending = Sending::Key {
                key,
                began: timestamp,
                ends_sent: 0,
                duration: 0,
            };
        }
        let clock_rate = self.clock_rate;
        match &mut self.sending {
            Sending::Idle => Tick::Idle,
            Sending::Key {
                key,
                began,
                ends_sent,
                duration,
            } => {
                let marker = *duration == 0;
                let again = *ends_sent > 0;
                if !again {
                    *duration += step;
                }
                let end = *duration >= ticks(key.timing.lasts, clock_rate);
                *ends_sent += u8::from(end);
                let packet = EventPacket {
                    marker,
                    again,
                    timestamp: *began,
                    event: Event {
                        code: key.digit.event(),
                        end,
                        volume: VOLUME,
                        duration: (*duration).min(0xffff) as u16,
                    },
                };
                if *ends_sent == END_PACKETS {
                    // The last two end packets were sent in the gap already.
                    let left = ticks(key.timing.gap, clock_rate).saturating_sub(2 * step);
                    self.sending = if left == 0 {
                        Sending::Idle
                    } else {
                        Sending::Gap { left }
                    };
                }
                Tick::Packet(packet)
            }
            Sending::Gap { left } => {
                *left = left.saturating_sub(step);
                if *left == 0 {
                    self.sending = Sending::Idle;
                }
                Tick::Gap
            }
        }
    }
}

fn ticks(duration: Duration, clock_rate: u32) -> u32 {
    (duration.as_millis() as u32) * clock_rate / 1_000
}
