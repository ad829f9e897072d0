//! What is wrong with a request of ours, or with its answer.

use std::fmt;

/// A header that may not be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderError {
    /// The name is no token of RFC 9110.
    BadName(String),
    /// The value has a line end or another control character, or is not ASCII. It may be a secret, so it isn't shown.
    BadValue(String),
    /// The handshake writes this header itself.
    Reserved(String),
    /// A subprotocol is no token.
    BadSubprotocol(String),
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadName(name) => write!(f, "`{}` is no name of a header", name.escape_debug()),
            Self::BadValue(name) => write!(
                f,
                "the value of header `{name}` has a line end, a control character or one that is not ASCII"
            ),
            Self::Reserved(name) => write!(f, "header `{name}` is written by the handshake itself"),
            Self::BadSubprotocol(name) => {
                write!(f, "`{}` is no name of a subprotocol", name.escape_debug())
            }
        }
    }
}

impl std::error::Error for HeaderError {}

/// Why the agent's answer makes no WebSocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpgradeError {
    /// The agent answered with another status than 101.
    Refused {
        /// The HTTP status.
        status: u16,
        /// Where a redirect points; it is not followed.
        location: Option<String>,
        /// The start of the body, on one line and without markup.
        excerpt: String,
    },
    /// The answer is not HTTP.
    NotHttp {
        /// Its start, printable.
        excerpt: String,
    },
    /// The answer breaks RFC 6455 section 4.1.
    BadAnswer(&'static str),
    /// The answer's head is longer than 16 KiB or has more than 100 headers.
    TooLong,
    /// The connection ended before the answer was whole.
    Ended,
    /// The agent didn't choose the subprotocol that it must choose.
    NoSubprotocol {
        /// What it must choose.
        required: String,
        /// What it chose.
        chosen: Option<String>,
    },
}

impl UpgradeError {
    /// The HTTP status of a refusal.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// What to look at, in one sentence; empty if there is nothing to add.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Refused { status, .. } => match status {
                200..=299 => "an ordinary web page is served there: look at the path of the URL",
                300..=399 => "redirects are not followed: use the address that it points to",
                401 | 407 => "the agent wants credentials: set its token",
                403 => {
                    "the agent doesn't let us in: look at the token, and at the origins that it allows"
                }
                404 | 405 => "no WebSocket is served at this path: look at the path of the URL",
                400 | 426 => {
                    "the server there didn't take the request as a WebSocket upgrade: look at proxies in between"
                }
                429 => "the agent has too many connections",
                502..=504 => "a proxy answered, but the agent behind it didn't",
                _ => "",
            },
            Self::NotHttp { .. } => {
                "the port speaks another protocol; is it ws: where it should be wss:, or the reverse?"
            }
            Self::Ended => {
                "the server closed the connection instead of answering; is it wss: where it should be ws:?"
            }
            Self::NoSubprotocol { .. } => {
                "the agent speaks another protocol: a Twilio Media Streams bot is dialled with twilio+ws: or twilio+wss:"
            }
            Self::BadAnswer(_) | Self::TooLong => "",
        }
    }
}

impl fmt::Display for UpgradeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused {
                status,
                location,
                excerpt,
            } => {
                write!(f, "the agent answered {status}")?;
                if let Some(location) = location {
                    write!(f, " and points to {location}")?;
                }
                if excerpt.is_empty() {
                    Ok(())
                } else {
                    write!(f, ": {excerpt}")
                }
            }
            Self::NotHttp { excerpt } => write!(f, "the answer is not HTTP: {excerpt}"),
            Self::BadAnswer(what) => write!(f, "the answer to the upgrade is wrong: {what}"),
            Self::TooLong => f.write_str("the answer to the upgrade is too long"),
            Self::Ended => f.write_str("the connection ended before the upgrade was answered"),
            Self::NoSubprotocol {
                required,
                chosen: None,
            } => write!(f, "the agent did not choose the subprotocol {required}"),
            Self::NoSubprotocol {
                required,
                chosen: Some(chosen),
            } => {
                write!(
                    f,
                    "the agent chose the subprotocol {chosen} instead of {required}"
                )
            }
        }
    }
}

impl std::error::Error for UpgradeError {}
