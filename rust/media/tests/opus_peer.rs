//! Opus against libopus, which we did not write: what either encodes sounds the same from both decoders, and so does what a copy brings back.
mod libopus;
mod support;

use libopus::{Application, Setting};
use offhook_media::codec::opus;
use support::{level, signal_to_noise, voice};

/// The kinds of coding with their numbers for `OPUS_SET_FORCE_MODE`.
const SILK: i32 = 1_000;
const HYBRID: i32 = 1_001;
const CELT: i32 = 1_002;
/// Narrowband to fullband: the rate that can carry it, and its number for `OPUS_SET_BANDWIDTH`.
const BANDS: [(u32, i32); 5] = [
    (8_000, 1_101),
    (12_000, 1_102),
    (16_000, 1_103),
    (24_000, 1_104),
    (48_000, 1_105),
];
/// SILK is whole numbers: both decoders give the same ones.
const EXACT_DB: f64 = 100.0;
/// Where CELT codes more than we hear, or two channels, and behind a loss: nobody hears a difference so far below the voice.
const SAME_DB: f64 = 28.0;

fn seconds(usual: f64) -> f64 {
    match std::env::var("OFFHOOK_PROVE").as_deref() {
        Ok("1") => 10.0 * usual,
        _ => usual,
    }
}

/// A voice of usual loudness.
fn speech(rate: u32, seconds: f64, seed: u64) -> Vec<i16> {
    let sound = voice(rate, seconds, seed);
    let gain = 3_000.0 / level(&sound);
    let louder = sound.iter().map(|&sample| f64::from(sample) * gain);
    louder
        .map(|sample| sample.clamp(-32_000.0, 32_000.0) as i16)
        .collect()
}

/// The same for one channel, or two different ones side by side.
fn channels_of(rate: u32, channels: usize, seconds: f64) -> Vec<i16> {
    let left = speech(rate, seconds, 7);
    match channels {
        1 => left,
        _ => {
            let right = speech(rate, seconds, 8);
            let both = left.iter().zip(&right);
            both.flat_map(|(&left, &right)| [left, right / 2]).collect()
        }
    }
}

/// Packets of libopus: `micros` each, coded as `mode` with all that `rate` can carry.
fn of_libopus(rate: u32, channels: usize, mode: i32, micros: u32, lossy: bool) -> Vec<Vec<u8>> {
    let band = BANDS.iter().find(|&&(carried, _)| carried == rate);
    let (_, band) = *band.expect("a rate of Opus");
    let mut encoder = libopus::Encoder::new(rate, channels, Application::Audio);
    // Mode and bandwidth go together: SILK ends at wideband, and CELT has no medium band.
    let band = match mode {
        SILK => band.min(1_103),
        CELT if band == 1_102 => 1_101,
        _ => band,
    };
    encoder.set(Setting::Bandwidth, band);
    encoder.set(Setting::Mode, mode);
    encoder.set(Setting::Bitrate, 32_000 * channels as i32);
    if lossy {
        encoder.set(Setting::Fec, 1);
        encoder.set(Setting::Loss, 20);
    }
    let samples = (u64::from(rate) * u64::from(micros) / 1_000_000) as usize * channels;
    channels_of(rate, channels, seconds(0.6))
        .chunks_exact(samples)
        .map(|frame| encoder.encode(frame))
        .collect()
}

/// What both decoders make of packets, of which every fifth gets lost if `lossy` and is made good from the next.
fn by_both(packets: &[Vec<u8>], lossy: bool) -> (Vec<i16>, Vec<i16>) {
    let (mut ours, mut theirs) = (opus::Decoder::default(), libopus::Decoder::default());
    let (mut by_us, mut by_them) = (Vec::new(), Vec::new());
    let mut lost = false;
    for (number, packet) in packets.iter().enumerate() {
        let samples = 2 * opus::ticks_in(packet) as usize;
        if lossy && number % 5 == 4 {
            lost = true;
            continue;
        }
        let mut room = [[0; opus::MAX_SAMPLES]; 2];
        if lost {
            let [one, two] = &mut room;
            assert!(ours.recover(packet, &mut one[..samples]));
            theirs.recover(packet, &mut two[..samples]);
            by_us.extend(&one[..samples]);
            by_them.extend(&two[..samples]);
            lost = false;
        }
        let [one, two] = &mut room;
        assert_eq!(theirs.decode(packet, two), samples, "of packet {number}");
        assert_eq!(ours.decode(packet, one), samples, "of packet {number}");
        by_us.extend(&one[..samples]);
        by_them.extend(&two[..samples]);
    }
    (by_us, by_them)
}

#[test]
fn what_libopus_encodes_sounds_as_from_its_own_decoder() {
    let mut kinds = 0;
    for (rate, _) in BANDS {
        for channels in [1, 2] {
            for (mode, durations) in [
                (SILK, &[10_000, 20_000, 40_000, 60_000][..]),
                (HYBRID, &[10_000, 20_000, 40_000, 60_000]),
                (CELT, &[2_500, 5_000, 10_000, 20_000, 40_000, 60_000]),
            ] {
                if mode == HYBRID && rate < 24_000 {
                    continue;
                }
                for &micros in durations {
                    let packets = of_libopus(rate, channels, mode, micros, false);
                    let (ours, theirs) = by_both(&packets, false);
                    let same = signal_to_noise(&theirs, &ours);
                    let kind = format!("{rate} Hz, {channels}, mode {mode}, {micros} µs");
                    let least = if mode == SILK { EXACT_DB } else { SAME_DB };
                    assert!(
                        same > least && level(&theirs) > 800.0,
                        "{kind}: {same:.1} dB"
                    );
                    kinds += 1;
                }
            }
        }
    }
    assert_eq!(kinds, 116);
}

#[test]
fn a_copy_of_libopus_is_heard_as_libopus_hears_it() {
    for (rate, mode, micros) in [
        (8_000, SILK, 20_000),
        (16_000, SILK, 10_000),
        (16_000, SILK, 20_000),
        (16_000, SILK, 60_000),
        (48_000, HYBRID, 20_000),
    ] {
        for channels in [1, 2] {
            let packets = of_libopus(rate, channels, mode, micros, true);
            let copies = packets
                .iter()
                .filter(|packet| opus::copied_ticks(packet) > 0);
            let (all, copies) = (packets.len(), copies.count());
            let (ours, theirs) = by_both(&packets, true);
            let same = signal_to_noise(&theirs, &ours);
            let kind = format!("{rate} Hz, {channels}, mode {mode}, {micros} µs");
            assert!(copies > all / 4, "{kind}: {copies} copies in {all}");
            assert!(same > SAME_DB, "{kind}: {same:.1} dB");
        }
    }
}

/// Lengths of 10 ms in which a tone is too quiet behind losses, one packet in 40, as either decoder plays it; and how many packets carry a copy.
fn dips(packets: &[Vec<u8>], loud: f64) -> ([usize; 2], usize) {
    let (mut ours, mut theirs) = (opus::Decoder::default(), libopus::Decoder::default());
    let mut dips = [0, 0];
    let mut hear = |made: &[[i16; 320]; 2]| {
        for (dips, made) in dips.iter_mut().zip(made) {
            let quiet = made.chunks(160).filter(|made| level(made) < 0.4 * loud);
            *dips += quiet.count();
        }
    };
    for (number, packet) in packets.iter().enumerate().skip(1) {
        let lost = |number: usize| number % 40 == 39;
        let mut made = [[0; 320]; 2];
        if lost(number - 1) {
            assert!(ours.recover(packet, &mut made[0]));
            theirs.recover(packet, &mut made[1]);
            hear(&made);
        }
        if !lost(number) {
            ours.decode(packet, &mut made[0]);
            theirs.decode(packet, &mut made[1]);
            hear(&made);
        }
    }
    let copies = packets
        .iter()
        .filter(|packet| opus::copied_ticks(packet) > 0);
    (dips, copies.count())
}

/// What a steady tone loses behind losses is not of our making: libopus takes it for no speech, either, sends no copies of it, and fades.
#[test]
fn a_steady_tone_dips_behind_losses_as_it_does_with_libopus() {
    let step = std::f64::consts::TAU * 440.0 / 16_000.0;
    let tone: Vec<i16> = (0..16_000 * 10)
        .map(|n| (8_000.0 * (f64::from(n) * step).sin()) as i16)
        .collect();
    let loud = level(&tone);
    let frames = || tone.chunks_exact(320);
    let mut ours = opus::Encoder::default();
    let mut theirs = libopus::Encoder::new(16_000, 1, Application::Voip);
    for (setting, value) in [
        (Setting::Bitrate, opus::BITRATE as i32),
        (Setting::Fec, 1),
        (Setting::Loss, 5),
        (Setting::Complexity, 3),
    ] {
        theirs.set(setting, value);
    }
    let by_us = frames().map(|frame| {
        let mut packet = vec![0; 480];
        let bytes = ours.encode(frame, &mut packet);
        packet.truncate(bytes);
        packet
    });
    let (by_us, our_copies) = dips(&by_us.collect::<Vec<_>>(), loud);
    let by_them: Vec<Vec<u8>> = frames().map(|frame| theirs.encode(frame)).collect();
    let (by_them, their_copies) = dips(&by_them, loud);
    assert!(
        our_copies < 50 && their_copies < 50,
        "{our_copies} {their_copies}"
    );
    assert!(by_them[0] >= 6, "{by_them:?}");
    assert!(
        by_us[0].abs_diff(by_us[1]) <= 3,
        "of our packets, by either decoder: {by_us:?}"
    );
    assert!(by_us[0] <= by_them[1] * 3 / 2, "{by_us:?} {by_them:?}");
}

#[test]
fn what_we_encode_sounds_from_libopus_as_from_our_decoder() {
    let usual = opus::Settings::default();
    for (name, settings) in [
        ("as usual", usual),
        (
            "slow",
            opus::Settings {
                bitrate: 12_000,
                ..usual
            },
        ),
        (
            "narrow",
            opus::Settings {
                max_rate: 8_000,
                ..usual
            },
        ),
        ("even", opus::Settings { cbr: true, ..usual }),
        (
            "no copies",
            opus::Settings {
                fec: false,
                ..usual
            },
        ),
        ("pauses", opus::Settings { dtx: true, ..usual }),
    ] {
        for milliseconds in [10, 20, 40, 60] {
            let sound = speech(16_000, seconds(1.5), 7);
            let mut encoder = opus::Encoder::default();
            encoder.set(settings);
            encoder.set_loss(51);
            let packets: Vec<Vec<u8>> = sound
                .chunks_exact(16 * milliseconds)
                .map(|frame| {
                    let mut packet = vec![0; 480];
                    let bytes = encoder.encode(frame, &mut packet);
                    packet.truncate(bytes);
                    packet
                })
                // Of a pause either decoder makes its own noise.
                .filter(|packet| packet.len() > opus::DTX_BYTES)
                .collect();
            for lossy in [false, true]
                .into_iter()
                .take(1 + usize::from(settings.fec))
            {
                let (ours, theirs) = by_both(&packets, lossy);
                let same = signal_to_noise(&theirs, &ours);
                let least = if lossy { SAME_DB } else { EXACT_DB };
                assert!(
                    same > least && level(&theirs) > 1_000.0,
                    "{name}, {milliseconds} ms, losses {lossy}: {same:.1} dB"
                );
            }
        }
    }
}
