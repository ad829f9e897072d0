//! Records: what the calls of a shared connection say, each with the number of its call, many in one binary message.

use super::websocket::{self, Message, Opcode};

/// Bytes before a record's payload.
pub const HEADER: usize = 12;

/// Longest payload that a header can tell of.
pub const MAX_PAYLOAD: usize = 0xFF_FFFF;

/// What a record is. Kinds that are not here are passed over, so that later versions may add some.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Sound.
    Audio = 1,
    /// A text message of `offhook.v1`.
    Control = 2,
    /// How much caller audio is taken.
    Credit = 3,
    /// The end of the call from the sender's side.
    Close = 4,
}

impl Kind {
    fn of(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Audio,
            2 => Self::Control,
            3 => Self::Credit,
            4 => Self::Close,
            _ => return None,
        })
    }
}

/// One record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// What it is; `None` if this version doesn't know.
    pub kind: Option<Kind>,
    /// Whose.
    pub call: u32,
    /// Milliseconds whose meaning the kind gives.
    pub position: u32,
    /// The rest.
    pub payload: &'a [u8],
}

/// Take the first record off `message`; `None` if what is left is no whole one.
pub fn read<'a>(message: &mut &'a [u8]) -> Option<Record<'a>> {
    let (header, rest) = message.split_at_checked(HEADER)?;
    let word = |at: usize| {
        u32::from_be_bytes(
            header[at..at + 4]
                .try_into()
                .expect("four bytes were taken"),
        )
    };
    let length = word(0) & 0xFF_FFFF;
    let (payload, rest) = rest.split_at_checked(length as usize)?;
    *message = rest;
    Some(Record {
        kind: Kind::of(header[0]),
        call: word(4),
        position: word(8),
        payload,
    })
}

/// Append one record. A payload beyond [`MAX_PAYLOAD`] is a bug of the caller.
pub fn write(kind: Kind, call: u32, position: u32, payload: &[u8], out: &mut Vec<u8>) {
    assert!(
        payload.len() <= MAX_PAYLOAD,
        "a record has three bytes for its length"
    );
    let word = u32::from(kind as u8) << 24 | payload.len() as u32;
    out.reserve(HEADER + payload.len());
    for word in [word, call, position] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    out.extend_from_slice(payload);
}

/// Append what a wire of its own would send as a frame of `opcode`.
pub(super) fn write_as(
    opcode: Opcode,
    call: u32,
    position: u32,
    payload: &[u8],
    out: &mut Vec<u8>,
) {
    match opcode {
        Opcode::Binary => write(Kind::Audio, call, position, payload, out),
        Opcode::Text => write(Kind::Control, call, 0, payload, out),
        Opcode::Close => write(Kind::Close, call, 0, payload, out),
        Opcode::Continuation | Opcode::Ping | Opcode::Pong => {
            unreachable!("a call has no such frames: its connection has them")
        }
    }
}

impl<'a> Record<'a> {
    /// What a wire of its own would have read; `None` where that would have been nothing.
    ///
    /// # Errors
    /// As for the frame that the record stands for.
    pub(super) fn message(&self) -> Result<Option<Message<'a>>, websocket::FrameError> {
        match self.kind {
            Some(Kind::Audio) => Ok(Some(Message::Binary(self.payload))),
            Some(Kind::Control) => std::str::from_utf8(self.payload)
                .map(|text| Some(Message::Text(text)))
                .map_err(|_| websocket::FrameError::NotUtf8),
            Some(Kind::Close) if self.payload.len() > websocket::MAX_CONTROL => {
                Err(websocket::FrameError::BadControl)
            }
            Some(Kind::Close) => websocket::read_close(self.payload).map(Some),
            Some(Kind::Credit) | None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_layout_is_that_of_the_protocol() {
        let mut out = Vec::new();
        write(Kind::Audio, 7, 1_240, &[1, 2, 3], &mut out);
        write(Kind::Close, 0x0102_0304, 0, &[3, 232], &mut out);
        assert_eq!(
            out,
            [
                1, 0, 0, 3, 0, 0, 0, 7, 0, 0, 4, 216, 1, 2, 3, // audio
                4, 0, 0, 2, 1, 2, 3, 4, 0, 0, 0, 0, 3, 232, // close
            ]
        );
        let mut rest = &out[..];
        let first = read(&mut rest).expect("whole");
        assert_eq!(
            (first.kind, first.call, first.position),
            (Some(Kind::Audio), 7, 1_240)
        );
        let second = read(&mut rest).expect("whole");
        assert_eq!(
            second.message(),
            Ok(Some(Message::Close {
                code: 1_000,
                reason: ""
            }))
        );
        assert!(rest.is_empty());
    }

    #[test]
    fn a_record_that_is_cut_is_none() {
        let mut out = Vec::new();
        write(Kind::Control, 1, 0, b"{}", &mut out);
        for cut in 0..out.len() {
            assert_eq!(read(&mut &out[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn what_this_version_does_not_know_is_passed_over() {
        let mut out = Vec::new();
        write(Kind::Control, 1, 0, b"{}", &mut out);
        out[0] = 99;
        let record = read(&mut &out[..]).expect("whole");
        assert_eq!((record.kind, record.message()), (None, Ok(None)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_their_end_or_refused(bytes: Vec<u8>) {
            let mut rest = &bytes[..];
            let mut before = rest.len();
            while let Some(record) = read(&mut rest) {
                prop_assert_eq!(before, rest.len() + HEADER + record.payload.len());
                before = rest.len();
                let _ = record.message();
            }
        }
    }
}
