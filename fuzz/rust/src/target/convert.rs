//! Codecs and rates: any bytes, in any pieces.
use crate::mutate::pieces;
use crate::random::Random;
use offhook_media::convert::{AudioFormat, Converter};

const FORMATS: [AudioFormat; 6] = [
    AudioFormat::PCMU,
    AudioFormat::PCMA,
    AudioFormat::pcm16(8_000),
    AudioFormat::pcm16(16_000),
    AudioFormat::pcm16(24_000),
    AudioFormat::pcm16(48_000),
];

/// Pieces change nothing, and what comes out is as long as what went in.
pub fn run(random: &mut Random) {
    let (from, to) = (*random.pick(&FORMATS), *random.pick(&FORMATS));
    let length = random.below(4_000);
    let input = match random.below(3) {
        0 => vec![*random.pick(&[0x00, 0xff, 0x7f, 0x80]); length],
        _ => random.bytes(length),
    };
    let mut whole = Vec::new();
    Converter::new(from, to).convert(&input, &mut whole);
    let mut converter = Converter::new(from, to);
    let mut parts = Vec::new();
    for piece in pieces(&input, random) {
        converter.convert(piece, &mut parts);
    }
    assert_eq!(whole, parts, "pieces change the sound");
    let micros = |format: AudioFormat, bytes: usize| {
        bytes as u64 * 1_000_000 / (format.encoding.sample_bytes() as u64 * u64::from(format.rate))
    };
    let (before, after) = (micros(from, input.len()), micros(to, whole.len()));
    assert!(
        before.abs_diff(after) <= 10_000,
        "{before} µs in, {after} µs out"
    );
    converter.reset();
}
