//! The least WebSocket client that offhook.v1 can do with: one connection a call, µ-law both ways.

use crate::rtp::FRAME;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];
const BINARY: u8 = 0x82;
const TEXT: u8 = 0x81;
/// What an agent may say at once before it is read.
const LONGEST: usize = 1 << 20;

/// One call's connection to the agent.
pub struct Wire {
    /// Its socket.
    pub stream: TcpStream,
    incoming: Vec<u8>,
}

fn masked(first: u8, payload: &[u8], out: &mut Vec<u8>) {
    out.push(first);
    // The floor sends nothing longer than a frame of audio or a few words.
    match payload.len() {
        short @ 0..126 => out.push(0x80 | short as u8),
        long => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(long as u16).to_be_bytes());
        }
    }
    out.extend_from_slice(&MASK);
    out.extend(
        payload
            .iter()
            .zip(MASK.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
}

/// The first frame of a server's stream: its opcode, where its payload starts and ends. `None` while it is not whole.
fn frame(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    let (start, length): (usize, usize) = match second & 0x7f {
        126 => (
            4,
            usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?])),
        ),
        127 => (
            10,
            bytes
                .get(2..10)?
                .iter()
                .fold(0, |sum, &byte| sum << 8 | usize::from(byte)),
        ),
        short => (2, usize::from(short)),
    };
    let end = start.checked_add(length)?;
    (bytes.len() >= end).then_some((first & 0x0f, start, end))
}

impl Wire {
    /// Dials the agent and starts a call of µ-law; waits for the upgrade.
    pub fn open(agent: SocketAddr) -> io::Result<Self> {
        let mut stream = TcpStream::connect(agent)?;
        stream.set_nodelay(true)?;
        let request = format!(
            "GET / HTTP/1.1\r\nHost: {agent}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIGxlYXN0IG9mIGFsbA==\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Protocol: offhook.v1\r\n\r\n"
        );
        stream.write_all(request.as_bytes())?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        if !head.starts_with(b"HTTP/1.1 101") {
            return Err(io::Error::new(
                ErrorKind::ConnectionRefused,
                "the agent refused the upgrade",
            ));
        }
        let mut hello = Vec::new();
        masked(TEXT, br#"{"type":"ringing"}"#, &mut hello);
        masked(TEXT, br#"{"type":"start"}"#, &mut hello);
        stream.write_all(&hello)?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            incoming: Vec::new(),
        })
    }

    /// Sends one frame of the caller's; what the socket does not take is left out.
    pub fn send(&mut self, audio: &[u8; FRAME]) {
        let mut out = Vec::with_capacity(FRAME + 8);
        masked(BINARY, audio, &mut out);
        let _ = self.stream.write(&out);
    }

    /// Reads what the agent said and hands out each frame of audio; `false` once it is gone.
    pub fn receive(&mut self, mut take: impl FnMut([u8; FRAME])) -> bool {
        let mut buffer = [0; 16_384];
        match self.stream.read(&mut buffer) {
            Ok(0) => return false,
            Ok(count) => self.incoming.extend_from_slice(&buffer[..count]),
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
        let mut used = 0;
        while let Some((opcode, start, end)) = frame(&self.incoming[used..]) {
            if opcode == BINARY & 0x0f {
                self.incoming[used + start..used + end]
                    .chunks_exact(FRAME)
                    .filter_map(|chunk| <[u8; FRAME]>::try_from(chunk).ok())
                    .for_each(&mut take);
            }
            used += end;
        }
        self.incoming.drain(..used);
        self.incoming.len() < LONGEST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_and_half_ones_waited_for() {
        let mut bytes = vec![0x82, 126, 0, 160];
        bytes.extend([7; 160]);
        assert_eq!(frame(&bytes), Some((2, 4, 164)));
        assert_eq!(frame(&bytes[..163]), None);
        assert_eq!(frame(&bytes[..3]), None);
        assert_eq!(frame(&[0x81, 2, b'h', b'i', 9]), Some((1, 2, 4)));
    }

    #[test]
    fn what_is_sent_is_masked() {
        let mut out = Vec::new();
        masked(TEXT, b"ab", &mut out);
        assert_eq!(
            out,
            [0x81, 0x82, 0x12, 0x34, 0x56, 0x78, b'a' ^ 0x12, b'b' ^ 0x34]
        );
    }
}
