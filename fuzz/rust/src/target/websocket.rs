//! WebSocket frames: what a server sends, whole and in pieces, right and wrong.
use crate::mutate::{mutate, pieces};
use crate::random::Random;
use offhook_media::wire::FrameError;
use offhook_media::wire::websocket::{Decoder, Message};

/// A message, owned, so that two readings can be compared.
#[derive(Debug, PartialEq)]
pub enum Got {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(u16, String),
}

/// Appends a frame as a server writes it; `wide` takes a longer length field than needed.
pub fn server_frame(fin: bool, opcode: u8, payload: &[u8], wide: bool, out: &mut Vec<u8>) {
    out.push(u8::from(fin) << 7 | opcode);
    match payload.len() {
        length @ 0..=125 if !wide => out.push(length as u8),
        length @ 0..=0xffff => {
            out.push(126);
            out.extend((length as u16).to_be_bytes());
        }
        length => {
            out.push(127);
            out.extend((length as u64).to_be_bytes());
        }
    }
    out.extend(payload);
}

/// Appends a message, perhaps in fragments with control frames between them.
pub fn server_message(opcode: u8, payload: &[u8], random: &mut Random, out: &mut Vec<u8>) {
    let mut rest = payload;
    let mut opcode = opcode;
    while random.once_in(4) {
        let (part, after) = rest.split_at(random.below(rest.len() + 1));
        server_frame(false, opcode, part, false, out);
        (rest, opcode) = (after, 0);
        if random.once_in(3) {
            server_frame(true, 9, b"are you there", false, out);
        }
    }
    server_frame(true, opcode, rest, random.once_in(20), out);
}

fn read(chunks: &[&[u8]], limit: usize) -> (Vec<Got>, Option<FrameError>) {
    let mut decoder = Decoder::new(limit);
    let mut got = Vec::new();
    for chunk in chunks {
        let mut input = *chunk;
        loop {
            let message = match decoder.receive(&mut input) {
                Ok(None) => break,
                Ok(Some(message)) => message,
                Err(error) => return (got, Some(error)),
            };
            got.push(match message {
                Message::Text(text) => Got::Text(text.into()),
                Message::Binary(bytes) => Got::Binary(bytes.into()),
                Message::Ping(bytes) => Got::Ping(bytes.into()),
                Message::Pong(bytes) => Got::Pong(bytes.into()),
                Message::Close { code, reason } => Got::Close(code, reason.into()),
            });
        }
        assert!(input.is_empty(), "bytes are left behind");
    }
    (got, None)
}

/// Right frames give what was put in; any bytes give the same whole and in pieces; no message is over the limit.
pub fn run(random: &mut Random) {
    let limit = *random.pick(&[100, 2_000, 1 << 20]);
    let mut stream = Vec::new();
    let mut put = Vec::new();
    for _ in 0..1 + random.below(8) {
        let length = *random.pick(&[0, 1, 2, 60, 125]);
        let noise = random.bytes(length);
        match random.below(5) {
            0 => {
                let text = String::from_utf8_lossy(&noise).into_owned();
                server_message(1, text.as_bytes(), random, &mut stream);
                put.push(Got::Text(text));
            }
            1 => {
                let bytes = noise.repeat(*random.pick(&[1, 1, 2, 600]));
                server_message(2, &bytes, random, &mut stream);
                put.push(Got::Binary(bytes));
            }
            2 => {
                server_frame(true, 9, &noise, false, &mut stream);
                put.push(Got::Ping(noise));
            }
            3 => {
                server_frame(true, 10, &noise, false, &mut stream);
                put.push(Got::Pong(noise));
            }
            _ => {
                let reason = String::from_utf8_lossy(&noise[..noise.len() / 4]).into_owned();
                let code = *random.pick(&[1000_u16, 1001, 1011, 3000, 4999]);
                let payload = [&code.to_be_bytes(), reason.as_bytes()].concat();
                server_frame(true, 8, &payload, false, &mut stream);
                put.push(Got::Close(code, reason));
            }
        }
    }
    let (mut got, error) = read(&[&stream], limit);
    got.retain(|one| !matches!(one, Got::Ping(bytes) if bytes == b"are you there"));
    match error {
        None => assert_eq!(got, put),
        Some(FrameError::TooBig { bytes, .. }) => {
            assert!(
                bytes > limit as u64,
                "{bytes} bytes are too big for {limit}"
            );
            assert_eq!(got, put[..got.len()]);
        }
        Some(error) => panic!("{error} in proper frames"),
    }
    let words: [&[u8]; 6] = [
        b"\x81\x7f",
        b"\x82\x7e\xff\xff",
        b"\x88\x00",
        b"\x01\x00",
        b"\x80\x00",
        &[0xff; 9],
    ];
    let bytes = mutate(&stream, &words, random, 100_000);
    let whole = read(&[&bytes], limit);
    assert_eq!(
        whole,
        read(&pieces(&bytes, random), limit),
        "pieces change what is read"
    );
    for one in whole.0 {
        let (length, most) = match one {
            Got::Text(text) => (text.len(), limit),
            Got::Binary(bytes) => (bytes.len(), limit),
            Got::Ping(bytes) | Got::Pong(bytes) => (bytes.len(), 125),
            Got::Close(_, reason) => (reason.len(), 123),
        };
        assert!(length <= most, "{length} bytes where {most} are the most");
    }
}
