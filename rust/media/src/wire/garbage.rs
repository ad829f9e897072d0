//! What makes no sense in an agent's messages.
use std::fmt;

use super::json;

/// A message of the agent that made no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Garbage {
    /// Text that is not JSON.
    NotJson(json::JsonError),
    /// JSON that is no object.
    NotAnObject,
    /// A message does not say of which type it is.
    NoType,
    /// A binary message where the dialect has none.
    UnexpectedBinary,
    /// A message lacks a field, or it is of the wrong type.
    BadField(&'static str),
    /// Audio that is not base64.
    NotBase64,
    /// The name of a mark, or a message for Python, is too long.
    TooLong(&'static str),
    /// Digits that no telephone has.
    NotDigits,
    /// An audio format that the dialect doesn't have.
    UnknownFormat,
}

impl Garbage {
    /// A stable word for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::NotJson(_) | Self::NotAnObject => "not_json",
            Self::NoType => "no_type",
            Self::UnexpectedBinary => "unexpected_binary",
            Self::BadField(_) => "bad_field",
            Self::NotBase64 => "not_base64",
            Self::TooLong(_) => "too_long",
            Self::NotDigits => "bad_digits",
            Self::UnknownFormat => "bad_format",
        }
    }

    /// The status code that ends a wire with too much of it (RFC 6455 section 7.4.1).
    pub(super) fn close_code(self) -> u16 {
        match self {
            Self::UnexpectedBinary => 1003,
            Self::NotJson(_) | Self::NotAnObject | Self::NotBase64 => 1007,
            _ => 1008,
        }
    }
}

impl fmt::Display for Garbage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson(error) => write!(f, "a text message is {error}"),
            Self::NotAnObject => f.write_str("a text message is JSON, but no object"),
            Self::NoType => f.write_str("a message has no type, or its type is no string"),
            Self::UnexpectedBinary => {
                f.write_str("a binary message, but audio is base64 in JSON here")
            }
            Self::BadField(what) => write!(f, "a message lacks {what}, or it is of the wrong type"),
            Self::NotBase64 => f.write_str("the audio of a message is not base64"),
            Self::TooLong(what) => write!(f, "{what} is too long"),
            Self::NotDigits => f.write_str("digits are 0-9 * # A-D, 1 to 64 of them"),
            Self::UnknownFormat => f.write_str("the audio format is none of this protocol"),
        }
    }
}
