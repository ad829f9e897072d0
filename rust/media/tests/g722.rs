//! G.722 against a codec that we did not write, and against what the recommendation promises.
use offhook_media::codec::{Codec, Decoder, Encoder};

const RATE: usize = 16_000;

/// What another codec makes of these sounds: 64-bit FNV-1a of the payload, and of what the same codec decodes from it.
/// `g722_answers.py` says which codec, and makes them anew.
const ANSWERS: [(&str, u64, u64); 10] = [
    ("speech", 0x0393a871d12e2e09, 0x3933b4996342caac),
    ("chirp", 0xa0a7d4b26a5832d1, 0x8c6f14118d874ead),
    ("noise", 0x29778727878bb214, 0xfed1353fc4272d1f),
    ("faint noise", 0xc75c3ad415bc61a8, 0x4f400fc9a03bb07f),
    ("silence", 0x9bcd3e241114625b, 0xd6c2952837bfd906),
    ("the least", 0xb8d43b4386816935, 0xecfec97ca65faf7e),
    ("direct current", 0x8c7084612ad073d6, 0xc64ea5da42dcc0d8),
    ("steps", 0x15657b7e65a5add8, 0xb4a285f8c8717717),
    ("the highest", 0xf75036149536db7d, 0xbaaf2ec4de0224c4),
    ("the lowest", 0x2479b481e9951f35, 0x577b605795382f4e),
];
/// And what it decodes from noise, and from each byte a thousand times.
const ANSWER_TO_NOISE: u64 = 0x108d3b780f75c62c;
const ANSWER_TO_EACH: u64 = 0x483ce892dd6a3b73;

/// A small generator of our own, the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 32) as u32
    }
}

fn noise(seed: u64, peak: i32) -> Vec<i16> {
    let mut random = Random(seed);
    (0..2 * RATE)
        .map(|_| ((random.next() % (2 * peak) as u32) as i32 - peak) as i16)
        .collect()
}

/// A triangle that becomes faster and faster, from 0 to 8 kHz within four seconds.
fn chirp(peak: i32) -> Vec<i16> {
    let mut phase = 0;
    (0..4 * RATE as i32)
        .map(|n| {
            phase = (phase + n) % 128_000;
            (((phase - 64_000).abs() - 32_000) * (peak / 1_000)).div_euclid(32) as i16
        })
        .collect()
}

/// The welcome prompt: speech at 16 kHz.
fn speech() -> Vec<i16> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../python/offhook/destination/prompts/welcome.wav"
    );
    let wave = std::fs::read(path).expect("the prompt is part of the project");
    let pairs = wave[44..].chunks_exact(2);
    pairs
        .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
        .collect()
}

fn steps(peak: i16, long: usize) -> Vec<i16> {
    (0..RATE)
        .map(|n| {
            if (n / long).is_multiple_of(2) {
                peak
            } else {
                -peak
            }
        })
        .collect()
}

fn sound(name: &str) -> Vec<i16> {
    match name {
        "speech" => speech(),
        "chirp" => chirp(12_000),
        "noise" => noise(7, 8_000),
        "faint noise" => noise(8, 20),
        "silence" => vec![0; RATE],
        "the least" => vec![-1; RATE],
        "direct current" => vec![16_000; RATE],
        "steps" => steps(9_000, 200),
        "the highest" => vec![i16::MAX; RATE],
        "the lowest" => vec![i16::MIN; RATE],
        _ => unreachable!("no other sound has an answer"),
    }
}

fn fnv(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes
        .into_iter()
        .fold(0xcbf2_9ce4_8422_2325, |digest, byte| {
            (digest ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        })
}

fn fnv_of_samples(pcm: Vec<i16>) -> u64 {
    fnv(pcm.into_iter().flat_map(i16::to_le_bytes))
}

fn encode(pcm: &[i16]) -> Vec<u8> {
    let mut out = vec![0; pcm.len() / 2];
    assert_eq!(Encoder::new(Codec::G722).encode(pcm, &mut out), out.len());
    out
}

fn decode(payload: &[u8]) -> Vec<i16> {
    let mut out = vec![0; 2 * payload.len()];
    assert_eq!(
        Decoder::new(Codec::G722).decode(payload, &mut out),
        out.len()
    );
    out
}

#[test]
fn every_bit_and_every_sample_is_that_of_another_codec() {
    for (name, payload, heard) in ANSWERS {
        let ours = encode(&sound(name));
        assert_eq!(fnv(ours.clone()), payload, "{name}, encoded");
        assert_eq!(fnv_of_samples(decode(&ours)), heard, "{name}, decoded");
    }
}

#[test]
fn bytes_that_no_encoder_sends_are_decoded_alike() {
    let mut random = Random(3);
    let noise: Vec<u8> = (0..400_000).map(|_| random.next() as u8).collect();
    assert_eq!(fnv_of_samples(decode(&noise)), ANSWER_TO_NOISE);
    let each: Vec<u8> = (0..=255u8).flat_map(|byte| [byte; 1_000]).collect();
    assert_eq!(fnv_of_samples(decode(&each)), ANSWER_TO_EACH);
}

/// How far `heard` is from `said`, in dB below it, with the delay of both filters taken off.
fn noise_below(said: &[i16], heard: &[i16]) -> f64 {
    const DELAY: usize = 22;
    let (mut signal, mut error) = (0.0, 0.0);
    for (&said, &heard) in said[1_000..].iter().zip(&heard[1_000 + DELAY..]) {
        signal += f64::from(said).powi(2);
        error += (f64::from(said) - f64::from(heard)).powi(2);
    }
    10.0 * (signal / error).log10()
}

#[test]
fn what_is_said_is_what_is_heard() {
    for (name, least) in [("speech", 20.0), ("chirp", 15.0), ("direct current", 30.0)] {
        let pcm = sound(name);
        let ratio = noise_below(&pcm, &decode(&encode(&pcm)));
        assert!(ratio > least, "{name}: {ratio:.1} dB");
    }
}

#[test]
fn sound_as_loud_as_can_be_is_clipped_within_its_band() {
    // The recommendation limits what its filters give to 15 bits, where other encoders let it run over.
    for loud in [steps(i16::MAX, 20), chirp(32_000), noise(5, 32_767)] {
        let ratio = noise_below(&loud, &decode(&encode(&loud)));
        assert!(ratio > 6.0, "{ratio:.1} dB");
    }
}

#[test]
fn a_stream_cut_anywhere_is_the_same_stream() {
    let pcm = speech();
    let whole = encode(&pcm);
    let mut random = Random(11);
    let mut encoder = Encoder::new(Codec::G722);
    let mut decoder = Decoder::new(Codec::G722);
    let (mut payload, mut heard) = (Vec::new(), Vec::new());
    let mut rest = &pcm[..pcm.len() & !1];
    while !rest.is_empty() {
        let (piece, after) = rest.split_at((2 * (random.next() as usize % 300)).min(rest.len()));
        rest = after;
        let mut out = [0; 600];
        let len = encoder.encode(piece, &mut out);
        payload.extend_from_slice(&out[..len]);
        let mut samples = [0; 1_200];
        let count = decoder.decode(&out[..len], &mut samples);
        heard.extend_from_slice(&samples[..count]);
    }
    assert_eq!(payload, whole);
    assert_eq!(heard, decode(&whole));
}

#[test]
fn a_missing_packet_is_soon_forgotten() {
    let payload = encode(&speech());
    let whole = decode(&payload);
    for lost in (20..120).map(|packet| packet * 160) {
        let mut cut = payload[..lost].to_vec();
        cut.extend_from_slice(&payload[lost + 160..]);
        let heard = decode(&cut);
        let later = lost + 5 * 160;
        let ratio = noise_below(
            &whole[2 * (later + 160)..2 * (later + 16_000)],
            &heard[2 * later - 22..],
        );
        assert!(ratio > 15.0, "after {lost}: {ratio:.1} dB");
    }
}

#[test]
fn sizes_and_clocks_are_those_of_rfc_3551() {
    // Section 4.5.2: the clock is 8000 although 16 000 samples are coded; 20 ms are 160 bytes and 160 ticks.
    let codec = Codec::G722;
    assert_eq!((codec.rtp_clock(), codec.sample_rate()), (8_000, 16_000));
    assert_eq!(
        (codec.samples_in(&[0; 160]), codec.ticks_in(&[0; 160])),
        (320, 160)
    );
    assert_eq!(codec.samples_of_ticks(160), 320);
    // Rooms that are too small, and an odd sample, are met by doing less.
    let mut out = [0; 3];
    assert_eq!(Encoder::new(codec).encode(&[0; 9], &mut out), 3);
    assert_eq!(Encoder::new(codec).encode(&[0; 5], &mut out), 2);
    assert_eq!(Decoder::new(codec).decode(&[0; 9], &mut [0; 5]), 4);
    assert_eq!(Codec::of_name("g722"), Some(codec));
    assert_eq!(Codec::of_name("G7221"), None);
}
