//! Digits of the peer's event packets.
use super::{Digit, Event, Keyed};
use crate::clock::Time;
use std::time::Duration;

/// A digit whose end packets are all lost counts as ended when nothing came for so long.
const SILENT_END: Duration = Duration::from_millis(200);
/// Timestamps that lie behind the last event by less than this are stragglers of it: 10 s.
const STRAGGLER_SECONDS: u32 = 10;
/// The longest duration that one packet can name; longer events go on in segments (section 2.5.1.3).
const SEGMENT: u32 = 0xffff;
/// Senders that count in packets begin the next segment a little before or behind that: 200 ms at 8 kHz.
const SEGMENT_SLACK: u32 = 1_600;

#[derive(Clone, Copy, Debug)]
struct Current {
    digit: Digit,
    timestamp: u32,
    duration: u16,
    /// Of the segments before.
    earlier: u64,
    told: bool,
    /// An end packet has come: there is no further segment.
    ended: bool,
    last_packet: Time,
}

/// Makes digits of event packets. Events are told apart by timestamp: marker bits and end packets get lost. Where a sender's clock stands still
/// between its events, another key or a shorter duration after a pause is another press.
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

    /// Units of its clock a second.
    pub fn clock_rate(&self) -> u32 {
        self.clock_rate
    }

    /// Takes the event of a packet. Up to two digits may end with it: one whose end was lost, and its own.
    pub fn receive(&mut self, now: Time, timestamp: u32, event: Event) -> [Option<Keyed>; 2] {
        let Some(digit) = Digit::from_event(event.code) else {
            return [None, None];
        };
        let mut ended = None;
        match &mut self.current {
            Some(current) if current.goes_on(now, digit, timestamp, event) => {
                // Updates may overtake each other, so only ever grow.
                current.duration = current.duration.max(event.duration);
                current.last_packet = now;
            }
            Some(current) if current.timestamp == timestamp => {
                ended = self.end();
                self.current = Some(Current::new(now, digit, timestamp, event.duration));
            }
            Some(current) => {
                let behind = current.timestamp.wrapping_sub(timestamp);
                if behind < self.clock_rate * STRAGGLER_SECONDS
                    && now - current.last_packet < Duration::from_secs(2)
                {
                    return [None, None];
                }
                let on = timestamp.wrapping_sub(current.timestamp);
                if current.digit == digit && current.is_followed_by(on) {
                    current.earlier += u64::from(on);
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
        if let Some(current) = self.current.as_mut().filter(|_| event.end) {
            current.ended = true;
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
    /// Whether this packet is of the same event.
    fn goes_on(&self, now: Time, digit: Digit, timestamp: u32, event: Event) -> bool {
        let begins_anew = self.told
            && !event.end
            && event.duration < self.duration
            && now - self.last_packet >= SILENT_END;
        self.timestamp == timestamp && self.digit == digit && !begins_anew
    }

    /// Whether a segment that begins so much later is the next of this event. How much of the one before has come says nothing: the call
    /// may have been on hold meanwhile.
    fn is_followed_by(&self, later: u32) -> bool {
        !self.ended && later.abs_diff(SEGMENT) <= SEGMENT_SLACK
    }

    fn new(now: Time, digit: Digit, timestamp: u32, duration: u16) -> Self {
        Current {
            digit,
            timestamp,
            duration,
            earlier: 0,
            told: false,
            ended: false,
            last_packet: now,
        }
    }
}
