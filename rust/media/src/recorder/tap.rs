//! The recorder's end on a media thread.
use std::time::Duration;

use super::ring::{Head, Sender, Sound};
use super::track::Side;
use crate::clock::Time;
use crate::leg::{SentFrame, UplinkFrame};

/// Copies what a leg hears and sends into the ring of its recording.
#[derive(Debug)]
pub struct Tap {
    sender: Sender,
    origin: Option<Time>,
    paused: bool,
    /// The RTP timestamp of the frame sent last, and its place in ticks since the first.
    sent: Option<(u32, u64)>,
}

impl Tap {
    pub(super) fn new(sender: Sender) -> Self {
        Tap {
            sender,
            origin: None,
            paused: false,
            sent: None,
        }
    }

    /// The recording's time begins.
    pub fn begin(&mut self, now: Time) {
        if self.origin.is_none() {
            self.origin = Some(now);
            self.sender.set_origin(now);
        }
    }

    /// How long it has been recording.
    pub fn lasted(&self, now: Time) -> Duration {
        self.origin.map_or(Duration::ZERO, |origin| now - origin)
    }

    /// Whether it pauses.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// From here on nothing is recorded but silence. `false` if it pauses already.
    pub fn pause(&mut self) -> bool {
        !std::mem::replace(&mut self.paused, true)
    }

    /// Sound is recorded again. `false` if it does not pause.
    pub fn resume(&mut self) -> bool {
        std::mem::replace(&mut self.paused, false)
    }

    /// Holds the last 80 ms of the caller back, so that [`Tap::hush`] can still take them out; `false` lets them go.
    pub fn hold(&mut self, on: bool) {
        self.sender.hold(on);
    }

    /// What is held back of the caller becomes silence.
    pub fn hush(&mut self) {
        self.sender.hush();
    }

    /// A frame of the caller's timeline.
    pub fn heard(&mut self, now: Time, frame: &UplinkFrame<'_>) {
        let sound = match (frame.coded, frame.codec.encoding()) {
            // In the pause time goes on, and nothing else does.
            _ if self.paused => Sound::Linear(&[]),
            (Some(coded), Some(encoding)) => Sound::Coded(encoding, coded),
            _ => Sound::Linear(frame.pcm),
        };
        let head = Head {
            side: Side::Caller,
            begins: false,
            rate: frame.rate,
            at: now,
            position: frame.position,
        };
        self.push(head, sound);
    }

    /// A frame that has just left.
    pub fn sent(&mut self, now: Time, frame: &SentFrame<'_>) {
        let position = self.sent.map_or(0, |(timestamp, position)| {
            position + u64::from(frame.timestamp.wrapping_sub(timestamp))
        });
        self.sent = Some((frame.timestamp, position));
        let sound = if self.paused {
            Sound::Linear(&[])
        } else {
            Sound::Coded(frame.format.encoding, frame.sound)
        };
        let head = Head {
            side: Side::Agent,
            begins: frame.begins,
            rate: frame.format.rate,
            at: now,
            position,
        };
        self.push(head, sound);
    }

    fn push(&mut self, head: Head, sound: Sound<'_>) {
        if self.origin.is_some() {
            self.sender.push(head, sound);
        }
    }

    /// Nothing follows.
    pub fn end(mut self, now: Time) {
        self.sender.close(now);
    }
}
