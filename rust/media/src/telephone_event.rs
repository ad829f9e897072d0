//! Digits as telephone events (RFC 4733, and 2833 before it), both ways.
mod receiver;
mod sender;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use receiver::EventReceiver;
pub use sender::{EventPacket, EventSender, Key, KeyTiming, MAX_DIGITS, Tick};

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

    /// Whether it has a tone: a flash of the hook has none.
    pub const fn has_tone(self) -> bool {
        self.0 < 16
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
