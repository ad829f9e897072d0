//! What Python asks of a media thread.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::dial::DialOutcome;
use super::event::Backlog;
use super::ports::LegSockets;
use crate::claim::Policy;
use crate::leg::{Leg, RemoteMedia};
use crate::wire::Wire;

/// One command. They take effect in the order in which they were given.
#[derive(Debug)]
pub(super) enum Command {
    /// A leg whose ports are bound.
    OpenLeg(Box<NewLeg>),
    /// A wire whose dial is under way.
    OpenWire(Box<NewWire>),
    /// A dial has come to something.
    Dialled(u64, Box<DialOutcome>),
    /// For one leg.
    Leg(u64, LegCommand),
    /// For one wire.
    Wire(u64, WireCommand),
    /// End everything and the thread.
    Shutdown,
}

/// A leg to be run.
#[derive(Debug)]
pub(super) struct NewLeg {
    pub id: u64,
    pub sockets: LegSockets,
    pub leg: Leg,
}

/// A wire to be run.
#[derive(Debug)]
pub(super) struct NewWire {
    pub id: u64,
    /// The leg beside which it was opened.
    pub leg: u64,
    pub wire: Wire,
    pub cancelled: Arc<AtomicBool>,
    pub total_timeout: Duration,
    pub backlog: Backlog,
    pub text_limit: usize,
}

/// For one leg; `RtpLeg` of `_media.pyi` documents each.
#[derive(Debug)]
pub(super) enum LegCommand {
    SetRemote(Box<(RemoteMedia, Policy)>),
    Start {
        release_after: Option<Duration>,
    },
    Release,
    Connect(Option<u64>),
    Echo(bool),
    Play(Box<Prompt>),
    Clear,
    Tap(bool),
    SendDtmf(Box<str>),
    Drain,
    Close,
    /// What a bug of ours would do, to prove that it ends one call only.
    #[cfg(test)]
    Panic,
}

/// Audio from Python.
#[derive(Debug)]
pub(super) struct Prompt {
    pub pcm16: Vec<u8>,
    pub rate: u32,
    pub mark: Option<String>,
}

/// For one wire.
#[derive(Debug)]
pub(super) enum WireCommand {
    Text { text: Box<str>, numbered: bool },
    Close { code: u16, reason: Box<str> },
}
