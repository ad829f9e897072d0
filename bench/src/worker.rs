//! `offhook-bench worker`: a worker that dials the gateway (offhook.worker.v1) and echoes every call, with a thread for each
//! connection. What comes in one read goes back in one write.

use crate::agent::Format;
use serde_json::{Value, json};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::thread;
use std::time::Duration;

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

const AUDIO: u8 = 1;
const CONTROL: u8 = 2;
const CLOSED: u8 = 4;
/// Bytes before a record's payload.
const HEADER: usize = 12;
/// Any will do: what is masked is not secret (RFC 6455 section 10.3 is about browsers).
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const RETRY: Duration = Duration::from_millis(50);

/// What to serve.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// The gateway's HTTP address; it may come up later
    #[arg(long, default_value = "127.0.0.1:8080")]
    gateway: SocketAddr,
    /// The agent that it serves
    #[arg(long, default_value = "bench")]
    name: String,
    /// The agent's token
    #[arg(long)]
    token: String,
    /// Calls that it takes
    #[arg(long, default_value_t = 4_000)]
    max_calls: u32,
    /// Audio that it asks for: pcmu, pcm16 or pcm16@RATE
    #[arg(long, default_value = "pcmu")]
    format: Format,
}

/// Serves until the gateway closes a connection.
pub fn run(options: &Options) -> io::Result<()> {
    let mut first = loop {
        match Line::dial(options, "") {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => thread::sleep(RETRY),
            result => break result?,
        }
    };
    let hello = json!({
        "type": "hello",
        "name": options.name,
        "max_calls": options.max_calls,
        "software": concat!("offhook-bench ", env!("CARGO_PKG_VERSION")),
    });
    first.say(TEXT, hello.to_string().as_bytes())?;
    let welcome = first.welcome()?;
    let (session, connections) = (welcome["session"].clone(), welcome["connections"].as_u64());
    let session = session.as_str().ok_or(ErrorKind::InvalidData)?;
    for number in 1..connections.unwrap_or(1) {
        let mut line = Line::dial(options, &format!("?session={session}&connection={number}"))?;
        line.welcome()?;
        thread::spawn(move || line.serve());
    }
    first.serve()
}

/// One connection.
struct Line {
    stream: TcpStream,
    ready: Vec<u8>,
    pending: Vec<u8>,
    records: Vec<u8>,
    out: Vec<u8>,
}

impl Line {
    fn dial(options: &Options, query: &str) -> io::Result<Self> {
        let mut stream = TcpStream::connect(options.gateway)?;
        stream.set_nodelay(true)?;
        let (gateway, token) = (options.gateway, &options.token);
        write!(
            stream,
            "GET /v1/worker{query} HTTP/1.1\r\nHost: {gateway}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: offhook.worker.v1\r\nAuthorization: Bearer {token}\r\n\r\n"
        )?;
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte)?;
            head.extend_from_slice(&byte);
        }
        if !head.starts_with(b"HTTP/1.1 101 ") {
            return Err(io::Error::other(format!(
                "the gateway refuses: {}",
                String::from_utf8_lossy(&head).lines().next().unwrap_or("")
            )));
        }
        let ready = json!({
            "type": "ready",
            "audio": { "encoding": options.format.encoding_name(), "rate": options.format.rate },
        });
        Ok(Self {
            stream,
            ready: ready.to_string().into_bytes(),
            pending: Vec::new(),
            records: Vec::new(),
            out: Vec::new(),
        })
    }

    fn say(&mut self, opcode: u8, payload: &[u8]) -> io::Result<()> {
        let mut out = Vec::new();
        write_frame(opcode, payload, &mut out);
        self.stream.write_all(&out)
    }

    fn welcome(&mut self) -> io::Result<Value> {
        loop {
            if let Some((TEXT, payload, end)) = next_frame(&self.pending) {
                let welcome = serde_json::from_slice(&self.pending[payload])?;
                self.pending.drain(..end);
                return Ok(welcome);
            }
            self.read()?;
        }
    }

    fn read(&mut self) -> io::Result<()> {
        let mut buffer = [0; 64 * 1024];
        let count = self.stream.read(&mut buffer)?;
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.pending.extend_from_slice(&buffer[..count]);
        Ok(())
    }

    fn serve(&mut self) -> io::Result<()> {
        loop {
            let mut done = 0;
            while let Some((opcode, payload, end)) = next_frame(&self.pending[done..]) {
                let payload = done + payload.start..done + payload.end;
                match opcode {
                    BINARY => answer(&self.pending[payload], &self.ready, &mut self.records)?,
                    PING => write_frame(PONG, &self.pending[payload], &mut self.out),
                    CLOSE => return Ok(()),
                    _ => {}
                }
                done += end;
            }
            self.pending.drain(..done);
            if !self.records.is_empty() {
                write_frame(BINARY, &self.records, &mut self.out);
                self.records.clear();
            }
            self.stream.write_all(&self.out)?;
            self.out.clear();
            self.read()?;
        }
    }
}

/// What is said to a message of records: audio goes back, a ringing call is taken, a close is answered.
fn answer(mut message: &[u8], ready: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    while !message.is_empty() {
        let (header, rest) = message
            .split_at_checked(HEADER)
            .ok_or(ErrorKind::InvalidData)?;
        let length =
            usize::from(header[1]) << 16 | usize::from(header[2]) << 8 | usize::from(header[3]);
        let (payload, rest) = rest
            .split_at_checked(length)
            .ok_or(ErrorKind::InvalidData)?;
        match header[0] {
            AUDIO => write_record(AUDIO, &header[4..8], payload, out),
            CLOSED => write_record(CLOSED, &header[4..8], payload, out),
            CONTROL => {
                let said: Value = serde_json::from_slice(payload)?;
                if said["type"] == "ringing" {
                    write_record(CONTROL, &header[4..8], ready, out);
                }
            }
            _ => {}
        }
        message = rest;
    }
    Ok(())
}

fn write_record(kind: u8, call: &[u8], payload: &[u8], out: &mut Vec<u8>) {
    let word = u32::from(kind) << 24 | payload.len() as u32;
    out.extend_from_slice(&word.to_be_bytes());
    out.extend_from_slice(call);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
}

/// Appends one frame, masked as a client must.
fn write_frame(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    out.push(0x80 | opcode);
    match payload.len() {
        short @ 0..126 => out.push(0x80 | short as u8),
        medium @ 126..65_536 => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(medium as u16).to_be_bytes());
        }
        long => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&MASK);
    out.extend(
        payload
            .iter()
            .zip(MASK.iter().cycle())
            .map(|(byte, key)| byte ^ key),
    );
}

/// The first whole frame: its opcode, where its payload is, and where it ends. The gateway sends no fragments.
fn next_frame(bytes: &[u8]) -> Option<(u8, Range<usize>, usize)> {
    let (length, head) = match *bytes.get(1)? & 0x7f {
        126 => {
            let long = bytes.get(2..4)?;
            (usize::from(u16::from_be_bytes([long[0], long[1]])), 4)
        }
        127 => {
            let long = bytes.get(2..10)?.try_into().ok()?;
            (u64::from_be_bytes(long) as usize, 10)
        }
        short => (usize::from(short), 2),
    };
    let end = head + length;
    (bytes.len() >= end).then(|| (bytes[0] & 0x0f, head..end, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audio_goes_back_a_call_is_taken_and_its_end_is_answered() {
        let mut message = Vec::new();
        write_record(AUDIO, &[0, 0, 0, 7], &[1, 2, 3], &mut message);
        message[8..12].copy_from_slice(&[0, 0, 0, 20]);
        write_record(
            CONTROL,
            &[0, 0, 0, 8],
            br#"{"type":"ringing"}"#,
            &mut message,
        );
        write_record(CONTROL, &[0, 0, 0, 8], br#"{"type":"start"}"#, &mut message);
        write_record(CLOSED, &[0, 0, 0, 7], &[3, 232], &mut message);
        let mut expected = Vec::new();
        write_record(AUDIO, &[0, 0, 0, 7], &[1, 2, 3], &mut expected);
        write_record(CONTROL, &[0, 0, 0, 8], b"{}", &mut expected);
        write_record(CLOSED, &[0, 0, 0, 7], &[3, 232], &mut expected);
        let mut out = Vec::new();
        answer(&message, b"{}", &mut out).expect("records");
        assert_eq!(out, expected);
        assert!(answer(&message[..20], b"{}", &mut out).is_err());
    }

    #[test]
    fn frames_are_found_however_long_they_are() {
        for length in [0, 125, 126, 65_535, 65_536] {
            let mut frame = vec![0x82];
            match length {
                0..126 => frame.push(length as u8),
                126..65_536 => {
                    frame.push(126);
                    frame.extend_from_slice(&(length as u16).to_be_bytes());
                }
                _ => {
                    frame.push(127);
                    frame.extend_from_slice(&(length as u64).to_be_bytes());
                }
            }
            let head = frame.len();
            frame.resize(head + length, 7);
            assert_eq!(
                next_frame(&frame),
                Some((BINARY, head..head + length, head + length))
            );
            assert_eq!(next_frame(&frame[..frame.len() - 1]), None);
        }
    }
}
