//! RFC 6455: frames and messages, no I/O.
//!
//! Where we dialled we are the client, so what we write is masked (section 5.3) and what we read must not be; where we were
//! dialled it is the other way round. No extension is ever agreed on, so a reserved bit is an error. A message that lies
//! whole in one read is handed out without a copy, unless it has to be unmasked.

use std::str;

/// A longer frame header than this doesn't exist, its masking key apart (section 5.2).
const MAX_HEADER: usize = 10;

/// Bytes of a masking key.
const KEY: usize = 4;

/// The longest payload of a control frame (section 5.5).
pub const MAX_CONTROL: usize = 125;

/// The longest reason of a close frame: a control payload less the two bytes of the code.
pub const MAX_REASON: usize = MAX_CONTROL - 2;

/// A buffer that grew beyond this is given back once it is empty, so that one long message doesn't cost memory for a
/// whole call.
pub(super) const KEEP_CAPACITY: usize = 16 * 1024;

/// Frame types of section 5.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// Goes on with a fragmented message.
    Continuation = 0x0,
    /// UTF-8 text.
    Text = 0x1,
    /// Bytes.
    Binary = 0x2,
    /// The closing handshake.
    Close = 0x8,
    /// Asks for a pong.
    Ping = 0x9,
    /// Answers a ping, or comes unasked.
    Pong = 0xA,
}

impl Opcode {
    fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xA => Self::Pong,
            _ => return None,
        })
    }

    /// Whether it is a control frame: short, never fragmented, allowed between the fragments of a message.
    pub fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }
}

/// A whole message, or a control frame, from the peer.
#[derive(Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A text message; its UTF-8 has been checked.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
    /// Must be answered with the same bytes.
    Ping(&'a [u8]),
    /// An answer to our ping, or an unasked sign of life.
    Pong(&'a [u8]),
    /// The peer closes. `code` is 1005 if it gave none (section 7.1.5).
    Close {
        /// The status code of section 7.4.
        code: u16,
        /// Why, in the peer's words; at most 123 bytes.
        reason: &'a str,
    },
}

/// What the peer did that RFC 6455 forbids; [`FrameError::close_code`] is how it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameError {
    /// A reserved bit is set although no extension was agreed on (section 5.2).
    ReservedBit,
    /// An opcode that RFC 6455 doesn't define (section 5.2).
    ReservedOpcode(u8),
    /// A server masked a frame (section 5.1).
    Masked,
    /// A client did not (section 5.1).
    Unmasked,
    /// A control frame is longer than 125 bytes or fragmented (section 5.5).
    BadControl,
    /// A continuation of nothing, or a new message inside another (section 5.4).
    BadFragment,
    /// A close frame of one byte, or with a code that may not be on the wire (section 7.4).
    BadClose,
    /// Text, or the reason of a close, is not UTF-8 (section 8.1).
    NotUtf8,
    /// The message is longer than our limit.
    TooBig {
        /// Bytes that it has come to, as far as announced; may be less than its whole length.
        bytes: u64,
        /// The limit in bytes.
        limit: usize,
    },
}

impl FrameError {
    /// The status code of section 7.4.1 that tells the peer.
    pub fn close_code(self) -> u16 {
        match self {
            Self::NotUtf8 => 1007,
            Self::TooBig { .. } => 1009,
            _ => 1002,
        }
    }
}

impl std::fmt::Display for FrameError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ReservedBit => {
                f.write_str("a frame has a reserved bit set, but no extension was agreed on")
            }
            Self::ReservedOpcode(opcode) => write!(f, "a frame has the reserved opcode {opcode}"),
            Self::Masked => f.write_str("a server must not mask its frames"),
            Self::Unmasked => f.write_str("a client must mask its frames"),
            Self::BadControl => {
                f.write_str("a control frame is fragmented or longer than 125 bytes")
            }
            Self::BadFragment => f.write_str("the fragments of a message are out of order"),
            Self::BadClose => f.write_str("a close frame has a code that may not be sent"),
            Self::NotUtf8 => f.write_str("a text message is not UTF-8"),
            Self::TooBig { bytes, limit } => write!(
                f,
                "a message of {bytes} bytes or more is over the limit of {limit}"
            ),
        }
    }
}

impl std::error::Error for FrameError {}

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

/// What the payload of a close frame says (section 5.5.1).
pub(super) fn read_close(payload: &[u8]) -> Result<Message<'_>, FrameError> {
    match payload {
        [] => Ok(Message::Close {
            code: 1005,
            reason: "",
        }),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            if !may_be_sent(code) {
                return Err(FrameError::BadClose);
            }
            let reason = str::from_utf8(reason).map_err(|_| FrameError::NotUtf8)?;
            Ok(Message::Close { code, reason })
        }
        [_] => Err(FrameError::BadClose),
    }
}

/// Whether a close frame may carry `code`: section 7.4.1, the IANA registry, and the private ranges of section 7.4.2.
pub fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

fn recycle(buffer: &mut Vec<u8>, keep: usize) {
    buffer.clear();
    if buffer.capacity() > keep {
        *buffer = Vec::new();
    }
}

/// Append one frame with its payload masked, as a client must (section 5.3); the message is never fragmented.
pub fn encode(opcode: Opcode, payload: &[u8], mask: [u8; 4], out: &mut Vec<u8>) {
    encode_header(opcode, payload.len(), 0x80, out);
    out.extend_from_slice(&mask);
    let start = out.len();
    out.extend_from_slice(payload);
    apply_mask(&mut out[start..], mask);
}

/// Append one frame as a server must, unmasked (section 5.1); the message is never fragmented.
pub fn encode_plain(opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) {
    encode_header(opcode, payload.len(), 0, out);
    out.extend_from_slice(payload);
}

fn encode_header(opcode: Opcode, length: usize, mask_bit: u8, out: &mut Vec<u8>) {
    out.reserve(length + MAX_HEADER + KEY);
    out.push(0x80 | opcode as u8);
    match length {
        0..=125 => out.push(mask_bit | length as u8),
        126..=0xFFFF => {
            out.push(mask_bit | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            out.push(mask_bit | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

/// Append a close frame; a reason that is too long is cut at a character, and a code that may not be on the wire (1005,
/// 1006, 1015, …) leaves the payload empty.
pub fn encode_close(code: u16, reason: &str, mask: [u8; 4], out: &mut Vec<u8>) {
    let (payload, length) = close_payload(code, reason);
    encode(Opcode::Close, &payload[..length], mask, out);
}

/// What a close frame carries, and how much of the array that is; see [`encode_close`].
pub(super) fn close_payload(code: u16, reason: &str) -> ([u8; MAX_CONTROL], usize) {
    let mut payload = [0_u8; MAX_CONTROL];
    let mut length = 0;
    if may_be_sent(code) {
        let cut = reason.floor_char_boundary_of(MAX_REASON);
        payload[..2].copy_from_slice(&code.to_be_bytes());
        payload[2..2 + cut].copy_from_slice(&reason.as_bytes()[..cut]);
        length = 2 + cut;
    }
    (payload, length)
}

/// `str::floor_char_boundary`, which is younger than the compiler that we promise to build with.
pub(super) trait FloorCharBoundary {
    /// The greatest character boundary that is not above `index`.
    fn floor_char_boundary_of(&self, index: usize) -> usize;
}

impl FloorCharBoundary for str {
    fn floor_char_boundary_of(&self, index: usize) -> usize {
        if index >= self.len() {
            return self.len();
        }
        (0..=index)
            .rev()
            .find(|&at| self.is_char_boundary(at))
            .unwrap_or(0)
    }
}

fn apply_mask(bytes: &mut [u8], mask: [u8; 4]) {
    let wide = u64::from_ne_bytes([
        mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3],
    ]);
    let mut chunks = bytes.chunks_exact_mut(8);
    for chunk in &mut chunks {
        let masked = u64::from_ne_bytes((&*chunk).try_into().expect("chunks of eight")) ^ wide;
        chunk.copy_from_slice(&masked.to_ne_bytes());
    }
    for (byte, key) in chunks.into_remainder().iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}

/// Makes masking keys that nobody can guess who doesn't know the seed (section 5.3 and 10.3): SipHash-2-4 of a counter.
#[derive(Debug)]
pub struct MaskSource {
    key: [u64; 2],
    counter: u64,
    spare: Option<[u8; 4]>,
}

impl MaskSource {
    /// A source from 16 bytes of the system's randomness, different for each connection.
    pub fn new(seed: [u8; 16]) -> Self {
        let (low, high) = seed.split_at(8);
        let word =
            |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("half of sixteen bytes"));
        Self {
            key: [word(low), word(high)],
            counter: 0,
            spare: None,
        }
    }

    /// The next masking key.
    pub fn next_mask(&mut self) -> [u8; 4] {
        if let Some(mask) = self.spare.take() {
            return mask;
        }
        self.counter += 1;
        let bytes = siphash_2_4_of_word(self.key, self.counter).to_le_bytes();
        self.spare = Some([bytes[4], bytes[5], bytes[6], bytes[7]]);
        [bytes[0], bytes[1], bytes[2], bytes[3]]
    }
}

/// SipHash-2-4 (Aumasson, Bernstein 2012) of one little-endian 64-bit word.
fn siphash_2_4_of_word(key: [u64; 2], word: u64) -> u64 {
    let mut v = [
        key[0] ^ 0x736f_6d65_7073_6575,
        key[1] ^ 0x646f_7261_6e64_6f6d,
        key[0] ^ 0x6c79_6765_6e65_7261,
        key[1] ^ 0x7465_6462_7974_6573,
    ];
    let round = |v: &mut [u64; 4]| {
        v[0] = v[0].wrapping_add(v[1]);
        v[1] = v[1].rotate_left(13) ^ v[0];
        v[0] = v[0].rotate_left(32);
        v[2] = v[2].wrapping_add(v[3]);
        v[3] = v[3].rotate_left(16) ^ v[2];
        v[0] = v[0].wrapping_add(v[3]);
        v[3] = v[3].rotate_left(21) ^ v[0];
        v[2] = v[2].wrapping_add(v[1]);
        v[1] = v[1].rotate_left(17) ^ v[2];
        v[2] = v[2].rotate_left(32);
    };
    // The last block carries the length of the input, eight bytes, in its top byte.
    for block in [word, 8 << 56] {
        v[3] ^= block;
        round(&mut v);
        round(&mut v);
        v[0] ^= block;
    }
    v[2] ^= 0xFF;
    for _ in 0..4 {
        round(&mut v);
    }
    v[0] ^ v[1] ^ v[2] ^ v[3]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone, PartialEq, Eq)]
    enum Owned {
        Text(String),
        Binary(Vec<u8>),
        Ping(Vec<u8>),
        Pong(Vec<u8>),
        Close(u16, String),
    }

    impl From<Message<'_>> for Owned {
        fn from(message: Message<'_>) -> Self {
            match message {
                Message::Text(text) => Self::Text(text.into()),
                Message::Binary(bytes) => Self::Binary(bytes.into()),
                Message::Ping(bytes) => Self::Ping(bytes.into()),
                Message::Pong(bytes) => Self::Pong(bytes.into()),
                Message::Close { code, reason } => Self::Close(code, reason.into()),
            }
        }
    }

    fn server_frame(fin: bool, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![if fin { 0x80 } else { 0 } | opcode as u8];
        match payload.len() {
            length @ 0..=125 => frame.push(length as u8),
            length @ 126..=0xFFFF => {
                frame.push(126);
                frame.extend_from_slice(&(length as u16).to_be_bytes());
            }
            length => {
                frame.push(127);
                frame.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(payload);
        frame
    }

    fn read_all(
        decoder: &mut Decoder,
        mut input: &[u8],
        out: &mut Vec<Owned>,
    ) -> Result<(), FrameError> {
        while let Some(message) = decoder.receive(&mut input)? {
            out.push(message.into());
        }
        assert!(input.is_empty(), "a decoder takes all that it is given");
        Ok(())
    }

    fn read_in_pieces(
        bytes: &[u8],
        cuts: &[usize],
        limit: usize,
    ) -> Result<Vec<Owned>, FrameError> {
        let mut decoder = Decoder::new(limit);
        let mut out = Vec::new();
        let mut rest = bytes;
        for cut in cuts {
            let (head, tail) = rest.split_at((*cut).min(rest.len()));
            read_all(&mut decoder, head, &mut out)?;
            rest = tail;
        }
        read_all(&mut decoder, rest, &mut out)?;
        Ok(out)
    }

    fn unmask(frame: &[u8]) -> (u8, Vec<u8>) {
        let (length, at) = match frame[1] & 0x7F {
            126 => (usize::from(u16::from_be_bytes([frame[2], frame[3]])), 4),
            127 => (
                u64::from_be_bytes(frame[2..10].try_into().unwrap()) as usize,
                10,
            ),
            short => (usize::from(short), 2),
        };
        assert_ne!(frame[1] & 0x80, 0, "a client's frame is masked");
        let mask = &frame[at..at + 4];
        let payload: Vec<u8> = frame[at + 4..]
            .iter()
            .zip(mask.iter().cycle())
            .map(|(b, m)| b ^ m)
            .collect();
        assert_eq!(payload.len(), length);
        (frame[0], payload)
    }

    #[test]
    fn examples_of_section_5_7_are_read() {
        let hello = [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
        assert_eq!(
            read_in_pieces(&hello, &[], 100),
            Ok(vec![Owned::Text("Hello".into())])
        );
        let fragmented = [0x01, 0x03, 0x48, 0x65, 0x6c, 0x80, 0x02, 0x6c, 0x6f];
        assert_eq!(
            read_in_pieces(&fragmented, &[4], 100),
            Ok(vec![Owned::Text("Hello".into())])
        );
    }

    #[test]
    fn the_masked_hello_of_section_5_7_is_what_we_write() {
        let mut out = Vec::new();
        encode(Opcode::Text, b"Hello", [0x37, 0xfa, 0x21, 0x3d], &mut out);
        assert_eq!(
            out,
            [
                0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58
            ]
        );
    }

    #[test]
    fn control_frames_may_stand_between_fragments() {
        let mut bytes = server_frame(false, Opcode::Binary, b"one");
        bytes.extend(server_frame(true, Opcode::Ping, b"?"));
        bytes.extend(server_frame(false, Opcode::Continuation, b""));
        bytes.extend(server_frame(true, Opcode::Continuation, b"two"));
        let expected = vec![
            Owned::Ping(b"?".to_vec()),
            Owned::Binary(b"onetwo".to_vec()),
        ];
        for cut in 0..bytes.len() {
            assert_eq!(
                read_in_pieces(&bytes, &[cut], 6),
                Ok(expected.clone()),
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn what_the_rfc_forbids_is_named_and_has_its_close_code() {
        let cases: [(&[u8], FrameError, u16); 12] = [
            (&[0xC1, 0x00], FrameError::ReservedBit, 1002),
            (&[0x83, 0x00], FrameError::ReservedOpcode(3), 1002),
            (&[0x8B, 0x00], FrameError::ReservedOpcode(11), 1002),
            (&[0x81, 0x80, 1, 2, 3, 4], FrameError::Masked, 1002),
            (&[0x09, 0x00], FrameError::BadControl, 1002),
            (&[0x89, 126, 0, 126], FrameError::BadControl, 1002),
            (&[0x80, 0x00], FrameError::BadFragment, 1002),
            (&[0x01, 0x00, 0x81, 0x00], FrameError::BadFragment, 1002),
            (&[0x88, 0x01, 0x03], FrameError::BadClose, 1002),
            (&[0x88, 0x02, 0x03, 0xED], FrameError::BadClose, 1002),
            (&[0x81, 0x02, 0xC3, 0x28], FrameError::NotUtf8, 1007),
            (
                &[0x82, 126, 0x04, 0x01],
                FrameError::TooBig {
                    bytes: 1025,
                    limit: 1024,
                },
                1009,
            ),
        ];
        for (bytes, error, code) in cases {
            assert_eq!(read_in_pieces(bytes, &[], 1024), Err(error), "{bytes:?}");
            assert_eq!(error.close_code(), code);
        }
    }

    #[test]
    fn a_length_that_nobody_has_memory_for_is_refused_from_its_header() {
        let bytes = [0x82, 127, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF];
        assert!(matches!(
            read_in_pieces(&bytes, &[], 1 << 20),
            Err(FrameError::TooBig { .. })
        ));
        let mut fragments = server_frame(false, Opcode::Binary, &[0; 600]);
        fragments.extend(server_frame(true, Opcode::Continuation, &[0; 600]));
        assert_eq!(
            read_in_pieces(&fragments, &[], 1024),
            Err(FrameError::TooBig {
                bytes: 1200,
                limit: 1024
            })
        );
    }

    #[test]
    fn close_carries_code_and_reason_and_1005_when_empty() {
        assert_eq!(
            read_in_pieces(&[0x88, 0], &[], 9),
            Ok(vec![Owned::Close(1005, String::new())])
        );
        let frame = server_frame(true, Opcode::Close, b"\x03\xE8bye");
        assert_eq!(
            read_in_pieces(&frame, &[3], 9),
            Ok(vec![Owned::Close(1000, "bye".into())])
        );
    }

    #[test]
    fn a_long_close_reason_is_cut_at_a_character() {
        let mut out = Vec::new();
        encode_close(1008, &"ü".repeat(100), [1, 2, 3, 4], &mut out);
        let (first, payload) = unmask(&out);
        assert_eq!(first, 0x88);
        assert_eq!(payload[..2], 1008_u16.to_be_bytes());
        assert_eq!(str::from_utf8(&payload[2..]).unwrap(), "ü".repeat(61));
        out.clear();
        encode_close(1006, "never on the wire", [1, 2, 3, 4], &mut out);
        assert_eq!(unmask(&out), (0x88, vec![]));
    }

    #[test]
    fn siphash_matches_its_authors_vector_for_eight_bytes() {
        let key = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];
        assert_eq!(
            siphash_2_4_of_word(key, 0x0706_0504_0302_0100),
            0x93f5_f579_9a93_2462
        );
    }

    #[test]
    fn masks_differ_from_each_other_and_between_seeds() {
        let mut a = MaskSource::new([1; 16]);
        let mut b = MaskSource::new([2; 16]);
        let masks: std::collections::HashSet<_> = (0..1000)
            .flat_map(|_| [a.next_mask(), b.next_mask()])
            .collect();
        assert_eq!(masks.len(), 2000);
    }

    fn message() -> impl Strategy<Value = Owned> {
        prop_oneof![
            "\\PC{0,300}".prop_map(Owned::Text),
            prop::collection::vec(any::<u8>(), 0..70_000).prop_map(Owned::Binary),
            prop::collection::vec(any::<u8>(), 0..=125).prop_map(Owned::Ping),
            prop::collection::vec(any::<u8>(), 0..=125).prop_map(Owned::Pong),
            (
                prop_oneof![Just(1000_u16), Just(1011), 3000_u16..5000],
                "[a-z ]{0,100}"
            )
                .prop_map(|(c, r)| Owned::Close(c, r)),
        ]
    }

    fn frames_of(message: &Owned, cuts: &[usize]) -> Vec<u8> {
        let (opcode, payload) = match message {
            Owned::Text(text) => (Opcode::Text, text.as_bytes().to_vec()),
            Owned::Binary(bytes) => (Opcode::Binary, bytes.clone()),
            Owned::Ping(bytes) => (Opcode::Ping, bytes.clone()),
            Owned::Pong(bytes) => (Opcode::Pong, bytes.clone()),
            Owned::Close(code, reason) => (
                Opcode::Close,
                [&code.to_be_bytes(), reason.as_bytes()].concat(),
            ),
        };
        if opcode.is_control() {
            return server_frame(true, opcode, &payload);
        }
        let mut frames = Vec::new();
        let mut rest = &payload[..];
        let mut next = opcode;
        for cut in cuts {
            let (head, tail) = rest.split_at((*cut).min(rest.len()));
            frames.extend(server_frame(false, next, head));
            next = Opcode::Continuation;
            rest = tail;
        }
        frames.extend(server_frame(true, next, rest));
        frames
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn messages_survive_any_fragmentation_and_any_split_of_the_stream(
            messages in prop::collection::vec((message(), prop::collection::vec(0_usize..400, 0..4)), 0..6),
            cuts in prop::collection::vec(0_usize..900, 0..200),
        ) {
            let bytes: Vec<u8> = messages.iter().flat_map(|(message, cuts)| frames_of(message, cuts)).collect();
            let expected: Vec<Owned> = messages.into_iter().map(|(message, _)| message).collect();
            prop_assert_eq!(read_in_pieces(&bytes, &cuts, 1 << 20), Ok(expected));
        }

        #[test]
        fn what_we_write_unmasks_to_what_was_meant(payload in prop::collection::vec(any::<u8>(), 0..70_000), mask: [u8; 4]) {
            let mut out = b"before".to_vec();
            encode(Opcode::Binary, &payload, mask, &mut out);
            prop_assert_eq!(unmask(&out[6..]), (0x82, payload));
        }

        #[test]
        fn no_bytes_make_it_panic_and_a_split_changes_nothing(
            bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(0x81), Just(0x02), Just(0x00), Just(0x80)], 0..400),
            cuts in prop::collection::vec(0_usize..20, 0..40),
        ) {
            let whole = read_in_pieces(&bytes, &[], 64);
            prop_assert_eq!(read_in_pieces(&bytes, &cuts, 64), whole);
        }
    }
}
