//! Why the engine refuses something that Python asked for.

use std::fmt;
use std::io;

/// The only error of the engine. What goes wrong later, with a peer, is an event.
#[derive(Debug)]
pub enum MediaError {
    /// No port pair is free.
    NoPort {
        /// Pairs in use by our legs.
        in_use: usize,
        /// Pairs that rest after their use.
        quarantined: usize,
        /// Pairs that another process holds.
        taken: usize,
    },
    /// Something is not written as an address or network, or is no address of this host.
    BadAddress(String),
    /// A value is outside its range, or a description is not one.
    BadConfig(String),
    /// Not the URL of a WebSocket.
    BadUrl(String),
    /// The limit of legs or wires is reached.
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many are allowed.
        limit: usize,
    },
    /// Two things that must live on one media thread don't.
    WrongThread,
    /// The engine is closed.
    Closed,
    /// A media thread has more commands waiting than it may.
    Overloaded,
    /// The system refused something.
    System {
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        error: io::Error,
    },
}

impl MediaError {
    /// The slug that programs match.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoPort { .. } => "no_port",
            Self::BadAddress(_) => "bad_address",
            Self::BadConfig(_) => "bad_config",
            Self::BadUrl(_) => "bad_url",
            Self::TooMany { .. } => "too_many",
            Self::WrongThread => "wrong_thread",
            Self::Closed => "closed",
            Self::Overloaded => "overloaded",
            Self::System { .. } => "system",
        }
    }

    /// What a person may do about it; empty where the message says it all.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoPort { taken: 1.., .. } => {
                "another process holds some of these ports; give offhook a range of its own"
            }
            Self::NoPort { .. } => "widen the port range or lower the limit of calls",
            Self::BadAddress(_) => {
                "media listens on 0.0.0.0 or an address of this machine; a public address that a router holds is advertised"
            }
            Self::WrongThread => "open the second leg beside the first",
            Self::System { .. } => "see `ulimit -n` and the limits of the service",
            _ => "",
        }
    }
}

impl fmt::Display for MediaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPort {
                in_use,
                quarantined,
                taken,
            } => write!(
                f,
                "no media port is free: {in_use} pairs in use, {quarantined} resting, {taken} held by other processes"
            ),
            Self::BadAddress(what) | Self::BadConfig(what) | Self::BadUrl(what) => {
                f.write_str(what)
            }
            Self::TooMany { what, limit } => write!(f, "the limit of {limit} {what} is reached"),
            Self::WrongThread => f.write_str("the wire lives on another media thread than the leg"),
            Self::Closed => f.write_str("the media engine is closed"),
            Self::Overloaded => f.write_str("the media thread has too many commands waiting"),
            Self::System { doing, error } => write!(f, "{doing}: {error}"),
        }
    }
}

impl std::error::Error for MediaError {}
