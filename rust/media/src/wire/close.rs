//! How a wire ends.
/// Who ended a wire, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseCause {
    /// The agent closed it.
    Agent,
    /// The connection broke.
    Lost,
    /// [`super::Wire::close`].
    Requested,
    /// The agent didn't read.
    TooSlow,
    /// The agent sent too much.
    Flood,
    /// The agent broke RFC 6455, or sent too much that made no sense.
    ProtocolError,
    /// The agent didn't answer a ping.
    Silent,
}

impl CloseCause {
    /// The word for Python; `None` if it was not we who ended the wire.
    pub fn code(self) -> Option<&'static str> {
        match self {
            Self::Agent | Self::Lost => None,
            Self::Requested => Some("requested"),
            Self::TooSlow => Some("too_slow"),
            Self::Flood => Some("flood"),
            Self::ProtocolError => Some("protocol_error"),
            Self::Silent => Some("silent"),
        }
    }
}

/// How a wire ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WireClose<'a> {
    /// Who ended it, and why.
    pub cause: CloseCause,
    /// The status code: the agent's, or the one that we sent if we ended it; 1006 if the connection just broke.
    pub status: u16,
    /// The reason in words: the agent's, or ours.
    pub reason: &'a str,
    /// Whether both sides sent a close frame.
    pub clean: bool,
}
