//! A wire without a WebSocket of its own: one of the many calls of a [`super::mux::Mux`].

use super::record::{self, Kind, Record};
use super::websocket::{self, MaskSource, Opcode};
use super::{CloseCause, State, Wire, WireSink};
use crate::clock::Time;

/// What the messages of a wire travel in.
#[derive(Debug)]
pub(super) enum Carriage {
    /// A WebSocket of its own, of which we are the client.
    Socket(MaskSource),
    /// Records of a shared one.
    Shared(Share),
}

/// A call's share of a connection.
#[derive(Debug)]
pub(super) struct Share {
    number: u32,
    credit: Option<Credit>,
    /// It waits for its turn to write.
    queued: bool,
}

/// How much caller audio the agent takes, in microseconds since the call began.
#[derive(Debug)]
struct Credit {
    granted: u64,
    sent: u64,
}

impl Carriage {
    /// Append one message; `position_ms` is where in the caller's audio it is.
    pub fn write(&mut self, opcode: Opcode, position_ms: u64, payload: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Socket(masks) => websocket::encode(opcode, payload, masks.next_mask(), out),
            Self::Shared(share) => {
                // The protocol counts modulo 2^32, which is 49 days.
                record::write_as(opcode, share.number, position_ms as u32, payload, out);
            }
        }
    }

    fn share(&mut self) -> Option<&mut Share> {
        match self {
            Self::Socket(_) => None,
            Self::Shared(share) => Some(share),
        }
    }
}

impl Share {
    fn left(&self) -> u64 {
        let credit = self.credit.as_ref();
        credit.map_or(u64::MAX, |credit| {
            credit.granted.saturating_sub(credit.sent)
        })
    }
}

impl Wire {
    /// From here on its messages are records of a shared connection, under `number`. With `credit_ms` no more caller audio
    /// than that is sent until the agent asks for more. Nothing may have been said before.
    pub fn share(&mut self, number: u32, credit_ms: Option<u32>) {
        debug_assert!(self.core.outgoing.is_empty(), "nothing was said before");
        // The connection shows whether anybody is there.
        self.core.next_ping = None;
        self.core.carriage = Carriage::Shared(Share {
            number,
            credit: credit_ms.map(|granted| Credit {
                granted: u64::from(granted) * 1_000,
                sent: 0,
            }),
            queued: false,
        });
    }

    /// The number under which it shares a connection.
    pub fn number(&self) -> Option<u32> {
        match &self.core.carriage {
            Carriage::Socket(_) => None,
            Carriage::Shared(share) => Some(share.number),
        }
    }

    /// A record of this call came.
    pub fn handle_record(&mut self, now: Time, record: &Record<'_>, sink: &mut impl WireSink) {
        let core = &mut self.core;
        if core.state == State::Closed {
            return;
        }
        let bytes = (record::HEADER + record.payload.len()) as u64;
        core.stats.received_bytes.add(bytes);
        if !core.bytes.spend(now, bytes) {
            core.flood(sink);
        }
        match record.message() {
            Ok(Some(message)) => core.handle_message(now, message, sink),
            Ok(None) => {}
            Err(error) => {
                let reason = error.to_string();
                core.fail(CloseCause::ProtocolError, error.close_code(), &reason, sink);
            }
        }
        if record.kind == Some(Kind::Credit)
            && let Some(credit) = core
                .carriage
                .share()
                .and_then(|share| share.credit.as_mut())
        {
            credit.granted = credit.granted.max(u64::from(record.position) * 1_000);
        }
        if core.state != State::Closed {
            core.charge_frames(now, 1, sink);
        }
    }

    /// Whether it has something to write and does not wait for its turn yet; it does from here on.
    pub(super) fn wants_turn(&mut self) -> bool {
        let core = &mut self.core;
        let Some(share) = core.carriage.share() else {
            return false;
        };
        let wants = !share.queued && core.outgoing.has_takeable(share.left());
        share.queued |= wants;
        wants
    }

    /// Its turn: append about `bytes` of what waits to `out`; whether more of it could go is the result.
    pub(super) fn take_turn(&mut self, bytes: usize, out: &mut Vec<u8>) -> bool {
        let core = &mut self.core;
        let Some(share) = core.carriage.share() else {
            return false;
        };
        let before = share.left();
        let mut left = before;
        let taken = core.outgoing.take(bytes, &mut left, out);
        if let Some(credit) = &mut share.credit {
            credit.sent += before - left;
        }
        share.queued = core.outgoing.has_takeable(left);
        core.stats.sent_bytes.add(taken as u64);
        if core.outgoing.is_empty() {
            core.dropping_since = None;
        }
        share.queued
    }

    /// It is over: append what it still has to say, which its last audio is not.
    pub(super) fn take_last_words(&mut self, out: &mut Vec<u8>) {
        let before = out.len();
        self.core.outgoing.take_control(out);
        let taken = out.len() - before;
        self.core.stats.sent_bytes.add(taken as u64);
    }
}
