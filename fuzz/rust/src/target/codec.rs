//! Codecs of the line: any payload, any samples, in any pieces.
use crate::mutate::{mutate, pieces};
use crate::random::Random;
use offhook_media::codec::{Codec, Decoder, Encoder, opus};

/// Pieces change nothing, sizes are those that the codec names, and what was encoded can be decoded.
pub fn run(random: &mut Random) {
    let codec = *random.pick(&Codec::BYTE_A_TICK);
    let length = random.below(2_000);
    let payload = match random.below(3) {
        0 => vec![random.next() as u8; length],
        _ => random.bytes(length),
    };
    let mut heard = vec![0; codec.samples_in(&payload)];
    let count = Decoder::new(codec).decode(&payload, &mut heard);
    assert_eq!(count, heard.len());
    let (mut decoder, mut parts) = (Decoder::new(codec), Vec::new());
    for piece in pieces(&payload, random) {
        let mut out = vec![0; codec.samples_in(piece)];
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
    assert_eq!(codec.samples_in(&out[..len]), pcm.len());
    let mut again = vec![0; pcm.len()];
    assert_eq!(
        Decoder::new(codec).decode(&out[..len], &mut again),
        pcm.len()
    );
    // A room that is too small is filled and no more.
    let room = random.below(len + 2).min(out.len());
    assert!(Encoder::new(codec).encode(&pcm, &mut out[..room]) <= room);
}

/// Opus, whose payloads are packets: what is decoded, made up and recovered has the length that the packet names, whatever it is.
pub fn opus(random: &mut Random) {
    let (mut encoder, mut decoder) = (opus::Encoder::default(), opus::Decoder::default());
    let mut room = [0x5a5a; opus::MAX_SAMPLES + 1];
    for _ in 0..40 {
        encoder.set(opus::Settings {
            bitrate: random.next() as u32 >> random.below(32),
            ceiling: random.once_in(3).then_some(24_000),
            fec: random.once_in(2),
            dtx: random.once_in(2),
            cbr: random.once_in(4),
            max_rate: *random.pick(&[0, 8_000, 12_000, 16_000, 48_000]),
        });
        encoder.set_loss(random.next() as u8);
        let samples = *random.pick(&[160, 320, 320, 320, 640, 960]);
        let loud = *random.pick(&[0, 1, 100, 32_767]);
        let pcm: Vec<i16> = (0..samples)
            .map(|_| (random.next() as i32 % (loud + 1)) as i16)
            .collect();
        let mut packet = vec![0; *random.pick(&[480, 480, 480, 40, 8, 3])];
        let bytes = encoder.encode(&pcm, &mut packet);
        packet.truncate(bytes);
        match random.below(6) {
            0 => packet = mutate(&packet, &[], random, 1_500),
            1 => {
                let length = random.below(400);
                packet = random.bytes(length);
            }
            2 => packet.truncate(random.below(packet.len() + 1)),
            _ => {}
        }
        let ticks = opus::ticks_in(&packet);
        assert!(ticks <= 960 && opus::copied_ticks(&packet) <= 480);
        let lost = 40 * random.below(49);
        match random.below(5) {
            0 => _ = decoder.conceal(&mut room[..lost]),
            1 => _ = decoder.recover(&packet, &mut room[..lost]),
            2 if random.once_in(10) => decoder.reset(),
            _ => {
                let samples = decoder.decode(&packet, &mut room[..opus::MAX_SAMPLES]);
                assert!(samples == 0 || samples == 2 * ticks as usize);
            }
        }
        assert_eq!(
            room[opus::MAX_SAMPLES],
            0x5a5a,
            "more was written than there is room"
        );
    }
}
