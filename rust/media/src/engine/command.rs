//! What Python asks of a media thread.

use std::net::{IpAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::bridge_handle::BridgeSettings;
use super::dial::DialOutcome;
use super::event::Backlog;
use super::ports::{Placement, Port, PortId};
use crate::barge_in;
use crate::claim::Policy;
use crate::leg::{Leg, RemoteMedia};
use crate::melody::Melody;
use crate::recorder::Tap;
use crate::telephone_event::{Digit, KeyTiming};
use crate::who_answered::Stage;
use crate::wire::Wire;
use crate::wire::mux::Mux;

/// One command. They take effect in the order in which they were given.
#[derive(Debug)]
pub(super) enum Command {
    /// A port to be read from now on, legs or no legs.
    OpenPort(Arc<Port>),
    /// A leg and its port.
    OpenLeg(Box<NewLeg>),
    /// A wire whose dial is under way.
    OpenWire(Box<NewWire>),
    /// A dial has come to something.
    Dialled(u64, Box<DialOutcome>),
    /// A worker's connection, its upgrade to be answered.
    OpenMux(Box<NewMux>),
    /// A wire that shares the connection of that id.
    OpenCall(Box<NewWire>, u64),
    /// Two legs to be joined.
    Bridge(NewBridge),
    /// A bridge to be closed, and one of its legs.
    Unbridge { bridge: u64, leg: u64 },
    /// For one leg.
    Leg(u64, LegCommand),
    /// For one wire.
    Wire(u64, WireCommand),
    /// For one worker's connection.
    Mux(u64, WireCommand),
    /// End everything and the thread.
    Shutdown,
}

/// A leg to be run.
#[derive(Debug)]
pub(super) struct NewLeg {
    pub id: u64,
    pub placement: Placement,
    /// Which sources may be its peer's, as far as that is known.
    pub policy: Policy,
    /// The address to send from, on a socket of all addresses.
    pub source: Option<IpAddr>,
    pub leg: Leg,
}

/// Two legs to be joined.
#[derive(Debug)]
pub(super) struct NewBridge {
    pub id: u64,
    pub legs: [u64; 2],
    pub settings: BridgeSettings,
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
    /// Caller audio in milliseconds that is sent before a worker asks for more; `None` is all.
    pub credit_ms: Option<u32>,
    pub backlog: Backlog,
    pub text_limit: usize,
}

/// A worker's connection to be run.
#[derive(Debug)]
pub(super) struct NewMux {
    pub id: u64,
    pub stream: TcpStream,
    pub mux: Mux,
    pub backlog: Backlog,
    pub text_limit: usize,
}

/// For one leg; `RtpLeg` of `_media.pyi` documents each.
#[derive(Debug)]
pub(super) enum LegCommand {
    SetRemote(Box<Agreed>),
    /// SDP is about to name this port, too.
    Place(Placement),
    /// It did not.
    Unplace,
    Start {
        release_after: Option<Duration>,
    },
    Release,
    /// `deaf`: the wire's agent is heard, and hears nothing before it is connected again without.
    Connect {
        wire: Option<u64>,
        deaf: bool,
    },
    Echo(bool),
    BargeIn(Option<barge_in::Policy>),
    /// Listen for who has answered, for so many milliseconds.
    Detect(Option<Stage>, u32),
    Music(Option<Arc<Melody>>),
    Play(Box<Prompt>),
    Clear,
    Tap(bool),
    SendDtmf(Box<str>, KeyTiming),
    /// Signalling has told of a press.
    Press(Digit, Duration),
    MaskDigits(DigitMask),
    Record(u64, Box<Tap>),
    PauseRecording(u64, bool),
    StopRecording(u64),
    Drain,
    Close,
    /// What a bug of ours would do, to prove that it ends one call only.
    #[cfg(test)]
    Panic,
}

/// Who may know which keys the caller presses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DigitMask {
    /// The agent, Python, and recordings.
    #[default]
    Off,
    /// The agent.
    Masked,
    /// Nobody: the agent is told of a press, not of which key.
    Withheld,
}

impl DigitMask {
    /// By its name in Python.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "shown" => Some(Self::Off),
            "masked" => Some(Self::Masked),
            "withheld" => Some(Self::Withheld),
            _ => None,
        }
    }
}

/// What offer and answer came to.
#[derive(Debug)]
pub(super) struct Agreed {
    pub remote: RemoteMedia,
    pub policy: Policy,
    /// The port that our SDP names.
    pub port: PortId,
}

/// Audio from Python.
#[derive(Debug)]
pub(super) struct Prompt {
    pub pcm16: Vec<u8>,
    pub rate: u32,
    pub mark: Option<String>,
}

/// For one wire, or one worker's connection.
#[derive(Debug)]
pub(super) enum WireCommand {
    Text { text: Box<str>, numbered: bool },
    Close { code: u16, reason: Box<str> },
}
