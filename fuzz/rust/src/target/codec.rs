//! Codecs of the line: any payload, any samples, in any pieces.
use crate::mutate::pieces;
use crate::random::Random;
use offhook_media::codec::{Codec, Decoder, Encoder};

/// Pieces change nothing, sizes are those that the codec names, and what was encoded can be decoded.
pub fn run(random: &mut Random) {
    let codec = *random.pick(&Codec::ALL);
    let length = random.below(2_000);
    let payload = match random.below(3) {
        0 => vec![random.next() as u8; length],
        _ => random.bytes(length),
    };
    let mut heard = vec![0; codec.samples_in(payload.len())];
    let count = Decoder::new(codec).decode(&payload, &mut heard);
    assert_eq!(count, heard.len());
    let (mut decoder, mut parts) = (Decoder::new(codec), Vec::new());
    for piece in pieces(&payload, random) {
        let mut out = vec![0; codec.samples_in(piece.len())];
        decoder.decode(piece, &mut out);
        parts.extend(out);
    }
    assert_eq!(heard, parts, "pieces change the sound");

    // Louder than anything that was decoded, and with every step from sample to sample.
    let pcm: Vec<i16> = match random.below(3) {
        0 => heard,
        1 => (0..2 * length)
            .map(|_| *random.pick(&[i16::MIN, i16::MAX]))
            .collect(),
        _ => (0..2 * length).map(|_| random.next() as i16).collect(),
    };
    let mut out = vec![0; pcm.len()];
    let len = Encoder::new(codec).encode(&pcm, &mut out);
    assert_eq!(codec.samples_in(len), pcm.len());
    let mut again = vec![0; pcm.len()];
    assert_eq!(
        Decoder::new(codec).decode(&out[..len], &mut again),
        pcm.len()
    );
    // A room that is too small is filled and no more.
    let room = random.below(len + 2).min(out.len());
    assert!(Encoder::new(codec).encode(&pcm, &mut out[..room]) <= room);
}
