//! Why the engine refuses something that Python asked for.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use super::ports::PortError;

/// The only error of the engine. What goes wrong later, with a peer, is an event.
#[derive(Debug)]
pub enum MediaError {
    /// There is no port on which the leg could be told apart from others.
    NoPort {
        /// Pairs of the range.
        pairs: usize,
        /// Pairs with a leg of the same remote address and port.
        colliding: usize,
        /// Pairs with a leg that is not heard yet and could have the same source, or of another media thread.
        confusable: usize,
        /// Pairs that another process holds.
        taken: usize,
    },
    /// Media has no address of the peer's version of IP.
    NoFamily(&'static str),
    /// Another leg of the same port has the same remote address and port.
    Collision(SocketAddr),
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
            Self::NoFamily(_) => "no_family",
            Self::Collision(_) => "collision",
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
            Self::NoPort { .. } => {
                "widen the port range: of peers behind one address each needs a port of its own until it is heard"
            }
            Self::NoFamily(_) => "add an address of that version to `media.listen`",
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
                pairs,
                colliding,
                confusable,
                taken,
            } => write!(
                f,
                "of {pairs} media ports none is fit: {confusable} carry a call that could be taken for this one, {colliding} one with the same remote address, {taken} are held by other processes"
            ),
            Self::NoFamily(family) => {
                write!(f, "there is no {family} address for this call's media")
            }
            Self::Collision(remote) => {
                write!(f, "another call of the same port has its media at {remote}")
            }
            Self::BadAddress(what) | Self::BadConfig(what) | Self::BadUrl(what) => {
                f.write_str(what)
            }
            Self::TooMany { what, limit } => write!(f, "the limit of {limit} {what} is reached"),
            Self::WrongThread => f.write_str("what is to be joined lives on two media threads"),
            Self::Closed => f.write_str("the media engine is closed"),
            Self::Overloaded => f.write_str("the media thread has too many commands waiting"),
            Self::System { doing, error } => write!(f, "{doing}: {error}"),
        }
    }
}

impl std::error::Error for MediaError {}

impl From<PortError> for MediaError {
    fn from(error: PortError) -> Self {
        match error {
            PortError::Exhausted {
                pairs,
                colliding,
                confusable,
                taken,
            } => Self::NoPort {
                pairs,
                colliding,
                confusable,
                taken,
            },
            PortError::NoFamily(family) => Self::NoFamily(family.name()),
            PortError::Address(error) => Self::System {
                doing: "binding a media port",
                error,
            },
        }
    }
}
