//! Digits as telephone events (RFC 4733, and 2833 before it), both ways.

#[cfg(test)]
mod tests;

use crate::clock::Time;
use std::collections::VecDeque;
use std::time::Duration;

/// A key of the telephone, or a flash of the hook.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Digit(u8);

const KEYS: &[u8; 17] = b"0123456789*#ABCD!";

impl Digit {
    /// The digit of event code 0 to 16; `None` for tones and other events.
    pub const fn from_event(event: u8) -> Option<Self> {
        if event <= 16 {
            Some(Digit(event))
        } else {
            None
        }
    }

    /// The digit written `0`-`9`, `*`, `#`, `A`-`D` (or `a`-`d`), or `!` for a flash.
    pub fn from_char(key: char) -> Option<Self> {
        let key = key.to_ascii_uppercase();
        KEYS.iter()
            .position(|&known| char::from(known) == key)
            .map(|event| Digit(event as u8))
    }

    /// As written in [`Digit::from_char`].
    pub fn as_char(self) -> char {
        char::from(KEYS[usize::from(self.0)])
    }

    /// The event code (RFC 4733 section 3.2).
    pub const fn event(self) -> u8 {
        self.0
    }
}

/// Length of an event's payload.
pub const PAYLOAD_LEN: usize = 4;

/// The payload of a packet (RFC 4733 section 2.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event {
    /// What happens; 0 to 15 are the keys.
    pub code: u8,
    /// The event ends with this packet.
    pub end: bool,
    /// Power in dBm0 below zero, 0 to 63.
    pub volume: u8,
    /// Time since the packet's timestamp, in units of the payload type's clock.
    pub duration: u16,
}

impl Event {
    /// Reads the first event of a payload; `None` if it is too short for one.
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let bytes = payload.first_chunk::<PAYLOAD_LEN>()?;
        Some(Event {
            code: bytes[0],
            end: bytes[1] & 0x80 != 0,
            volume: bytes[1] & 0x3f,
            duration: u16::from_be_bytes([bytes[2], bytes[3]]),
        })
    }

    /// The four bytes on the wire.
    pub fn encode(&self) -> [u8; PAYLOAD_LEN] {
        let duration = self.duration.to_be_bytes();
        [
            self.code,
            (self.volume & 0x3f) | (u8::from(self.end) << 7),
            duration[0],
            duration[1],
        ]
    }
}

/// A digit that has been keyed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Keyed {
    /// Which.
    pub digit: Digit,
    /// For how long, as the peer says.
    pub duration: Duration,
}

/// A digit whose end packets are all lost counts as ended when nothing came for so long.
const SILENT_END: Duration = Duration::from_millis(200);
/// Timestamps that lie behind the last event by less than this are stragglers of it: 10 s.
const STRAGGLER_SECONDS: u32 = 10;
/// The longest duration that one packet can name; longer events go on in segments (section 2.5.1.3).
const SEGMENT: u32 = 0xffff;

#[derive(Clone, Copy, Debug)]
struct Current {
    digit: Digit,
    timestamp: u32,
    duration: u16,
    /// Of the segments before.
    earlier: u64,
    told: bool,
    last_packet: Time,
}

/// Makes digits of event packets. Events are told apart by timestamp alone: marker bits and end packets get lost.
///
/// A digit is told once, when it ends: with the first of its end packets, with the next digit, or when no packet came for 200 ms.
#[derive(Debug)]
pub struct EventReceiver {
    clock_rate: u32,
    current: Option<Current>,
}

impl EventReceiver {
    /// A receiver of events on a clock of `clock_rate` Hz.
    pub fn new(clock_rate: u32) -> Self {
        EventReceiver {
            clock_rate,
            current: None,
        }
    }

    /// Takes the event of a packet. Up to two digits may end with it: one whose end was lost, and its own.
    pub fn receive(&mut self, now: Time, timestamp: u32, event: Event) -> [Option<Keyed>; 2] {
        let Some(digit) = Digit::from_event(event.code) else {
            return [None, None];
        };
        let mut ended = None;
        match &mut self.current {
            Some(current) if current.timestamp == timestamp => {
                // Same event: updates may overtake each other, so only ever grow.
                current.duration = current.duration.max(event.duration);
                current.last_packet = now;
            }
            Some(current) => {
                let behind = current.timestamp.wrapping_sub(timestamp);
                if behind < self.clock_rate * STRAGGLER_SECONDS
                    && now - current.last_packet < Duration::from_secs(2)
                {
                    return [None, None];
                }
                let next_segment = timestamp == current.timestamp.wrapping_add(SEGMENT);
                if next_segment && !current.told && current.digit == digit {
                    current.earlier += u64::from(SEGMENT);
                    current.timestamp = timestamp;
                    current.duration = event.duration;
                    current.last_packet = now;
                } else {
                    ended = self.end();
                    self.current = Some(Current::new(now, digit, timestamp, event.duration));
                }
            }
            None => self.current = Some(Current::new(now, digit, timestamp, event.duration)),
        }
        [ended, if event.end { self.end() } else { None }]
    }

    /// When a digit without end packets is taken as ended.
    pub fn next_timeout(&self) -> Option<Time> {
        self.current
            .filter(|current| !current.told)
            .map(|current| current.last_packet + SILENT_END)
    }

    /// The digit whose end was lost.
    pub fn handle_timeout(&mut self, now: Time) -> Option<Keyed> {
        if self.next_timeout()? <= now {
            self.end()
        } else {
            None
        }
    }

    /// The stream begins anew, with other timestamps: what was being keyed ends.
    pub fn restart(&mut self) -> Option<Keyed> {
        let ended = self.end();
        self.current = None;
        ended
    }

    fn end(&mut self) -> Option<Keyed> {
        let current = self.current.as_mut().filter(|current| !current.told)?;
        current.told = true;
        let ticks = current.earlier + u64::from(current.duration);
        Some(Keyed {
            digit: current.digit,
            duration: Duration::from_micros(ticks * 1_000_000 / u64::from(self.clock_rate)),
        })
    }
}

impl Current {
    fn new(now: Time, digit: Digit, timestamp: u32, duration: u16) -> Self {
        Current {
            digit,
            timestamp,
            duration,
            earlier: 0,
            told: false,
            last_packet: now,
        }
    }
}

/// Most digits waiting to be sent.
pub const MAX_DIGITS: usize = 128;
/// How long a digit is keyed unless said otherwise.
const KEY_TIME: Duration = Duration::from_millis(160);
/// Silence between two digits.
const GAP: Duration = Duration::from_millis(80);
/// Power of the tones named in events: -10 dBm0.
const VOLUME: u8 = 10;
/// How often the end of an event is sent (section 2.5.1.4).
const END_PACKETS: u8 = 3;

/// One packet of an event to send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EventPacket {
    /// First packet of the event.
    pub marker: bool,
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
        digit: Digit,
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
    waiting: VecDeque<Digit>,
    sending: Sending,
}

impl EventSender {
    /// A sender on a clock of `clock_rate` Hz.
    pub fn new(clock_rate: u32) -> Self {
        EventSender {
            clock_rate,
            waiting: VecDeque::new(),
            sending: Sending::Idle,
        }
    }

    /// Puts a digit behind those waiting; `false` if there are too many.
    pub fn push(&mut self, digit: Digit) -> bool {
        let room = self.waiting.len() < MAX_DIGITS;
        if room {
            self.waiting.push_back(digit);
        }
        room
    }

    /// Whether digits are being keyed or waiting.
    pub fn is_busy(&self) -> bool {
        !matches!(self.sending, Sending::Idle) || !self.waiting.is_empty()
    }

    /// Forgets the digits that wait; the one being keyed ends as it should.
    pub fn clear(&mut self) {
        self.waiting.clear();
    }

    /// What leaves at the tick whose timestamp is `timestamp`, a tick being `step` units long.
    pub fn tick(&mut self, timestamp: u32, step: u32) -> Tick {
        let key_time = self.ticks(KEY_TIME);
        if let Sending::Idle = self.sending {
            let Some(digit) = self.waiting.pop_front() else {
                return Tick::Idle;
            };
            self.sending = Sending::Key {
                digit,
                began: timestamp,
                ends_sent: 0,
                duration: 0,
            };
        }
        match &mut self.sending {
            Sending::Idle => Tick::Idle,
            Sending::Key {
                digit,
                began,
                ends_sent,
                duration,
            } => {
                let marker = *duration == 0;
                if *ends_sent == 0 {
                    *duration += step;
                }
                let end = *duration >= key_time;
                *ends_sent += u8::from(end);
                let packet = EventPacket {
                    marker,
                    timestamp: *began,
                    event: Event {
                        code: digit.event(),
                        end,
                        volume: VOLUME,
                        duration: *duration as u16,
                    },
                };
                if *ends_sent == END_PACKETS {
                    // The last two end packets were sent in the gap already.
                    let left = self.ticks(GAP).saturating_sub(2 * step);
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

    fn ticks(&self, duration: Duration) -> u32 {
        (duration.as_millis() as u32) * self.clock_rate / 1_000
    }
}
