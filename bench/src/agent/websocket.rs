//! The server's half of RFC 6455, without sockets: the upgrade, frames in, frames out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// A request head or a message longer than this is refused.
const LONGEST: usize = 1 << 20;

/// Opcodes of RFC 6455 section 11.8.
pub const TEXT: u8 = 1;
/// Binary message.
pub const BINARY: u8 = 2;
/// Close.
pub const CLOSE: u8 = 8;
/// Ping.
pub const PING: u8 = 9;
/// Pong.
pub const PONG: u8 = 10;

/// A client's request to become a WebSocket.
#[derive(Debug, PartialEq, Eq)]
pub struct Upgrade {
    /// The path asked for, with its query.
    pub path: String,
    /// The subprotocols offered.
    pub subprotocols: Vec<String>,
    key: String,
}

/// Why no upgrade can be read.
#[derive(Debug, PartialEq, Eq)]
pub enum UpgradeProblem {
    /// More bytes are needed.
    More,
    /// It is no WebSocket upgrade.
    Refused,
}

impl Upgrade {
    /// Reads a request head from the start of `bytes`; with it, the bytes that it took.
    pub fn parse(bytes: &[u8]) -> Result<(Self, usize), UpgradeProblem> {
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            return Err(if bytes.len() > LONGEST {
                UpgradeProblem::Refused
            } else {
                UpgradeProblem::More
            });
        };
        let head = std::str::from_utf8(&bytes[..end]).map_err(|_| UpgradeProblem::Refused)?;
        let mut lines = head.split("\r\n");
        let path = lines
            .next()
            .and_then(|line| line.strip_prefix("GET ")?.strip_suffix(" HTTP/1.1"))
            .ok_or(UpgradeProblem::Refused)?;
        let (mut key, mut subprotocols, mut upgrade) = (None, Vec::new(), false);
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "sec-websocket-key" => key = Some(value.to_owned()),
                "sec-websocket-protocol" => {
                    subprotocols.extend(value.split(',').map(|word| word.trim().to_owned()));
                }
                "upgrade" => upgrade = value.eq_ignore_ascii_case("websocket"),
                _ => {}
            }
        }
        let key = key.filter(|_| upgrade).ok_or(UpgradeProblem::Refused)?;
        Ok((
            Self {
                path: path.to_owned(),
                subprotocols,
                key,
            },
            end + 4,
        ))
    }

    /// The response that accepts it.
    pub fn accept(&self, subprotocol: Option<&str>) -> String {
        let accept = STANDARD.encode(Sha1::digest(format!("{}{GUID}", self.key)));
        let subprotocol = subprotocol
            .map(|name| format!("Sec-WebSocket-Protocol: {name}\r\n"))
            .unwrap_or_default();
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n{subprotocol}\r\n"
        )
    }
}

/// A message of the client's, unmasked.
#[derive(Debug, PartialEq, Eq)]
pub struct Received {
    /// `TEXT`, `BINARY`, `CLOSE`, `PING` or `PONG`.
    pub opcode: u8,
    /// What it carries.
    pub payload: Vec<u8>,
}

/// The client broke the protocol.
#[derive(Debug, PartialEq, Eq)]
pub struct Broken;

/// Reads a client's frames.
#[derive(Default)]
pub struct Reader {
    pending: Vec<u8>,
    taken: usize,
    message: Option<Received>,
}

impl Reader {
    /// Takes bytes from the socket.
    pub fn receive(&mut self, bytes: &[u8]) {
        if self.taken > 0 {
            self.pending.drain(..self.taken);
            self.taken = 0;
        }
        self.pending.extend_from_slice(bytes);
    }

    /// The next whole message; fragments are joined, control messages come between them.
    pub fn next(&mut self) -> Result<Option<Received>, Broken> {
        while let Some((fin, opcode, payload)) = self.frame()? {
            if opcode >= CLOSE {
                return Ok(Some(Received { opcode, payload }));
            }
            let mut message = match (self.message.take(), opcode) {
                (Some(mut message), 0) => {
                    message.payload.extend_from_slice(&payload);
                    message
                }
                (None, TEXT | BINARY) => Received { opcode, payload },
                _ => return Err(Broken),
            };
            if message.payload.len() > LONGEST {
                return Err(Broken);
            }
            if fin {
                message.payload.shrink_to_fit();
                return Ok(Some(message));
            }
            self.message = Some(message);
        }
        Ok(None)
    }

    fn frame(&mut self) -> Result<Option<(bool, u8, Vec<u8>)>, Broken> {
        let bytes = &self.pending[self.taken..];
        if bytes.len() < 2 {
            return Ok(None);
        }
        // A client must mask, and no extension was agreed on.
        if bytes[0] & 0x70 != 0 || bytes[1] & 0x80 == 0 {
            return Err(Broken);
        }
        let (length, head) = match bytes[1] & 0x7f {
            126 if bytes.len() < 4 => return Ok(None),
            126 => (usize::from(u16::from_be_bytes([bytes[2], bytes[3]])), 4),
            127 if bytes.len() < 10 => return Ok(None),
            127 => {
                let long = bytes[2..10]
                    .iter()
                    .fold(0u64, |sum, &byte| sum << 8 | u64::from(byte));
                (usize::try_from(long).map_err(|_| Broken)?, 10)
            }
            short => (usize::from(short), 2),
        };
        if length > LONGEST {
            return Err(Broken);
        }
        if bytes.len() < head + 4 + length {
            return Ok(None);
        }
        let mask = &bytes[head..head + 4];
        let masked = &bytes[head + 4..head + 4 + length];
        let payload = masked
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask)
            .collect();
        let (fin, opcode) = (bytes[0] & 0x80 != 0, bytes[0] & 0x0f);
        self.taken += head + 4 + length;
        Ok(Some((fin, opcode, payload)))
    }
}

/// Appends one whole unmasked message.
pub fn write(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    out.push(0x80 | opcode);
    match payload.len() {
        short @ 0..126 => out.push(short as u8),
        medium @ 126..65_536 => {
            out.push(126);
            out.extend_from_slice(&(medium as u16).to_be_bytes());
        }
        long => {
            out.push(127);
            out.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out, 0, payload);
        out[0] = first;
        let head = out.len() - payload.len();
        out[1] |= 0x80;
        let mask = [1, 2, 3, 4];
        for (index, byte) in out[head..].iter_mut().enumerate() {
            *byte ^= mask[index % 4];
        }
        out.splice(head..head, mask);
        out
    }

    #[test]
    fn the_accept_key_is_that_of_the_rfc() {
        let request = b"GET /chat?x=1 HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: a, offhook.v1\r\n\r\nrest";
        let (upgrade, used) = Upgrade::parse(request).unwrap();
        assert_eq!(used, request.len() - 4);
        assert_eq!(
            (upgrade.path.as_str(), upgrade.subprotocols.len()),
            ("/chat?x=1", 2)
        );
        let response = upgrade.accept(Some("offhook.v1"));
        assert!(response.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
        assert!(
            response.contains("Sec-WebSocket-Protocol: offhook.v1\r\n")
                && response.ends_with("\r\n\r\n")
        );
        assert_eq!(Upgrade::parse(&request[..40]), Err(UpgradeProblem::More));
        assert_eq!(
            Upgrade::parse(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"),
            Err(UpgradeProblem::Refused)
        );
    }

    #[test]
    fn messages_of_every_length_are_unmasked_however_they_are_cut() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            let payload: Vec<u8> = (0..length).map(|index| index as u8).collect();
            let bytes = masked(0x82, &payload);
            for cut in [1, 3, 7, bytes.len()] {
                let mut reader = Reader::default();
                let mut received = Vec::new();
                for piece in bytes.chunks(cut.max(bytes.len() / 50)) {
                    reader.receive(piece);
                    while let Some(message) = reader.next().unwrap() {
                        received.push(message);
                    }
                }
                assert_eq!(
                    received,
                    [Received {
                        opcode: BINARY,
                        payload: payload.clone()
                    }]
                );
            }
        }
    }

    #[test]
    fn fragments_are_joined_around_a_ping() {
        let mut reader = Reader::default();
        let stream = [masked(0x01, b"ab"), masked(0x89, b"p"), masked(0x80, b"cd")].concat();
        reader.receive(&stream);
        assert_eq!(reader.next().unwrap().unwrap().opcode, PING);
        assert_eq!(
            reader.next().unwrap().unwrap(),
            Received {
                opcode: TEXT,
                payload: b"abcd".to_vec()
            }
        );
        assert_eq!(reader.next(), Ok(None));
    }

    #[test]
    fn an_unmasked_frame_and_a_stray_continuation_are_broken() {
        for bytes in [vec![0x81, 1, b'x'], masked(0x80, b"x"), masked(0xc1, b"x")] {
            let mut reader = Reader::default();
            reader.receive(&bytes);
            assert_eq!(reader.next(), Err(Broken));
        }
    }
}
