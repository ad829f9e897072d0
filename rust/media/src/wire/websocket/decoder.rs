//! From bytes, in pieces of any size, to messages.

use std::str;

use super::mask::apply_mask;
use super::{FrameError, KEEP_CAPACITY, KEY, MAX_CONTROL, MAX_HEADER, Message, Opcode, read_close};

#[derive(Clone, Copy)]
struct Header {
    fin: bool,
    opcode: Opcode,
    length: usize,
    payload_at: usize,
    /// That of a client; it stands before the payload.
    mask: Option<[u8; KEY]>,
}

/// Reads what a server sends, or a client, from pieces of any size.
///
/// Memory is bounded by the limit on a message, which is enforced when a frame announces its length, before anything is
/// buffered.
#[derive(Debug)]
pub struct Decoder {
    max_message: usize,
    /// Whether the peer is a client, which masks what it sends.
    masked: bool,
    /// A buffer larger than this is given back once it is empty.
    keep: usize,
    partial: Vec<u8>,
    message: Vec<u8>,
    fragmented: Option<Opcode>,
    partial_spent: bool,
    message_spent: bool,
    frames: u64,
}

impl Decoder {
    /// A decoder of what a server sends; it takes messages of at most `max_message` bytes, fragments together.
    pub fn new(max_message: usize) -> Self {
        Self {
            max_message,
            masked: false,
            keep: KEEP_CAPACITY,
            partial: Vec::new(),
            message: Vec::new(),
            fragmented: None,
            partial_spent: false,
            message_spent: false,
            frames: 0,
        }
    }

    /// The same of what a client sends. A buffer of up to `keep` bytes stays for the next message.
    pub fn of_client(max_message: usize, keep: usize) -> Self {
        Self {
            masked: true,
            keep,
            ..Self::new(max_message)
        }
    }

    /// Frames read so far, empty fragments included.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Take the next message from the front of `input`, which is moved on; `None` once `input` is used up.
    ///
    /// After an error the connection is beyond repair and the decoder must not be used again.
    pub fn receive<'s, 'd: 's>(
        &'s mut self,
        input: &mut &'d [u8],
    ) -> Result<Option<Message<'s>>, FrameError> {
        self.forget_spent();
        loop {
            let (header, payload) = match self.next_frame(input)? {
                Some(frame) => frame,
                None => return Ok(None),
            };
            self.frames += 1;
            let opcode = header.opcode;
            if opcode.is_control() {
                let Self {
                    partial,
                    partial_spent,
                    ..
                } = self;
                return control(opcode, payload.bytes(partial, partial_spent)).map(Some);
            }
            let kind = match (self.fragmented, opcode) {
                (None, Opcode::Continuation) | (Some(_), Opcode::Text | Opcode::Binary) => {
                    return Err(FrameError::BadFragment);
                }
                (Some(kind), _) => kind,
                (None, kind) => kind,
            };
            if header.fin && self.fragmented.is_none() {
                let Self {
                    partial,
                    partial_spent,
                    ..
                } = self;
                return whole(kind, payload.bytes(partial, partial_spent)).map(Some);
            }
            let Self {
                partial,
                partial_spent,
                message,
                ..
            } = self;
            message.extend_from_slice(payload.bytes(partial, partial_spent));
            self.forget_partial();
            if header.fin {
                self.fragmented = None;
                self.message_spent = true;
                return whole(kind, &self.message).map(Some);
            }
            self.fragmented = Some(kind);
        }
    }

    fn forget_spent(&mut self) {
        self.forget_partial();
        if self.message_spent {
            self.message_spent = false;
            recycle(&mut self.message, self.keep);
        }
    }

    fn forget_partial(&mut self) {
        if self.partial_spent {
            self.partial_spent = false;
            recycle(&mut self.partial, self.keep);
        }
    }

    /// The next whole frame, either lying in `input` or put together in `partial`.
    fn next_frame<'d>(
        &mut self,
        input: &mut &'d [u8],
    ) -> Result<Option<(Header, Payload<'d>)>, FrameError> {
        if self.partial.is_empty() {
            if let Some(header) = self.header(input)? {
                let end = header.payload_at + header.length;
                if input.len() >= end {
                    let payload = &input[header.payload_at..end];
                    *input = &input[end..];
                    let Some(mask) = header.mask else {
                        return Ok(Some((header, Payload::Input(payload))));
                    };
                    self.partial.extend_from_slice(payload);
                    apply_mask(&mut self.partial, mask);
                    self.partial_spent = true;
                    return Ok(Some((header, Payload::Partial(0))));
                }
            }
            self.partial.extend_from_slice(input);
            *input = &[];
            return Ok(None);
        }
        loop {
            let need = match self.header(&self.partial)? {
                Some(header) => {
                    let end = header.payload_at + header.length;
                    if self.partial.len() == end {
                        self.partial_spent = true;
                        if let Some(mask) = header.mask {
                            apply_mask(&mut self.partial[header.payload_at..], mask);
                        }
                        return Ok(Some((header, Payload::Partial(header.payload_at))));
                    }
                    end - self.partial.len()
                }
                None => 1,
            };
            if input.is_empty() {
                return Ok(None);
            }
            let take = need.min(input.len());
            self.partial.extend_from_slice(&input[..take]);
            *input = &input[take..];
        }
    }

    /// Read and judge the header at the front of `bytes`; `None` if it is not all there yet.
    fn header(&self, bytes: &[u8]) -> Result<Option<Header>, FrameError> {
        let Some(&first) = bytes.first() else {
            return Ok(None);
        };
        if first & 0x70 != 0 {
            return Err(FrameError::ReservedBit);
        }
        let opcode =
            Opcode::from_bits(first & 0x0F).ok_or(FrameError::ReservedOpcode(first & 0x0F))?;
        let fin = first & 0x80 != 0;
        let Some(&second) = bytes.get(1) else {
            return Ok(None);
        };
        match (second & 0x80 != 0, self.masked) {
            (true, false) => return Err(FrameError::Masked),
            (false, true) => return Err(FrameError::Unmasked),
            _ => {}
        }
        let short = second & 0x7F;
        if opcode.is_control() && (!fin || usize::from(short) > MAX_CONTROL) {
            return Err(FrameError::BadControl);
        }
        let (length, key_at) = match short {
            126 => match bytes.get(2..4) {
                Some(length) => (u64::from(u16::from_be_bytes([length[0], length[1]])), 4),
                None => return Ok(None),
            },
            127 => match bytes.get(2..MAX_HEADER) {
                Some(length) => (
                    u64::from_be_bytes(length.try_into().expect("eight bytes were taken")),
                    MAX_HEADER,
                ),
                None => return Ok(None),
            },
            short => (u64::from(short), 2),
        };
        if !opcode.is_control() {
            let so_far = if self.message_spent {
                0
            } else {
                self.message.len() as u64
            };
            let bytes = length.saturating_add(so_far);
            if bytes > self.max_message as u64 {
                return Err(FrameError::TooBig {
                    bytes,
                    limit: self.max_message,
                });
            }
        }
        let mut header = Header {
            fin,
            opcode,
            // The limit above, or 125 for a control frame, makes it fit.
            length: length as usize,
            payload_at: key_at,
            mask: None,
        };
        if self.masked {
            let Some(key) = bytes.get(key_at..key_at + KEY) else {
                return Ok(None);
            };
            header.mask = Some(key.try_into().expect("four bytes were taken"));
            header.payload_at += KEY;
        }
        Ok(Some(header))
    }
}

/// Where a frame's payload lies.
enum Payload<'d> {
    Input(&'d [u8]),
    Partial(usize),
}

impl<'d> Payload<'d> {
    fn bytes<'s>(&self, partial: &'s [u8], partial_spent: &bool) -> &'s [u8]
    where
        'd: 's,
    {
        match self {
            Self::Input(bytes) => bytes,
            Self::Partial(at) => {
                debug_assert!(
                    *partial_spent,
                    "a payload in the buffer is one that was completed there"
                );
                &partial[*at..]
            }
        }
    }
}

fn whole(kind: Opcode, payload: &[u8]) -> Result<Message<'_>, FrameError> {
    match kind {
        Opcode::Text => str::from_utf8(payload)
            .map(Message::Text)
            .map_err(|_| FrameError::NotUtf8),
        _ => Ok(Message::Binary(payload)),
    }
}

fn control(opcode: Opcode, payload: &[u8]) -> Result<Message<'_>, FrameError> {
    match opcode {
        Opcode::Ping => Ok(Message::Ping(payload)),
        Opcode::Pong => Ok(Message::Pong(payload)),
        _ => read_close(payload),
    }
}

fn recycle(buffer: &mut Vec<u8>, keep: usize) {
    buffer.clear();
    if buffer.capacity() > keep {
        *buffer = Vec::new();
    }
}
