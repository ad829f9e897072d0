use std::str;

use proptest::prelude::*;

use super::mask::siphash_2_4_of_word;
use super::*;

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

fn read_in_pieces(bytes: &[u8], cuts: &[usize], limit: usize) -> Result<Vec<Owned>, FrameError> {
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
