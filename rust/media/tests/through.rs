//! Packets of one line that are handed on to another as they came: byte for byte, in the other's own stream, with their gaps.
mod lines;
mod support;

use lines::{Got, Lines, Phone};
use offhook_media::codec::{Codec, Decoder, opus};
use offhook_media::engine::{BridgeHandle, BridgeSettings, DigitMask};
use offhook_media::leg::RemoteMedia;
use offhook_media::srtp::{Protection, SrtpKeys, Suite};
use std::collections::HashMap;
use std::time::Duration;
use support::{Random, level, roughness};

const MEMORY: [Codec; 2] = [Codec::G722, Codec::Opus];

fn bridge(lines: &Lines, a: usize, b: usize) -> BridgeHandle {
    let settings = BridgeSettings {
        digits: true,
        one_way: false,
    };
    let legs = &lines.legs;
    lines
        .engine
        .bridge(&legs[a], &legs[b], settings)
        .expect("bridged")
}

/// A telephone whose packets are all different.
fn murmuring(n: u16, codec: Codec) -> Phone {
    let mut phone = Phone::new(n, codec);
    let mut random = Random::new(u64::from(n));
    let mut level = 0.0;
    phone.voice = Some(Box::new(move |n| {
        level = 0.9 * level + 2_000.0 * (random.unit() - 0.5);
        let tone = (n as f64 * 0.1).sin() * 6_000.0;
        (tone + level) as i16
    }));
    phone
}

fn passed(lines: &Lines, leg: usize) -> u64 {
    lines.legs[leg].stats().passed_packets.get()
}

/// What a phone got from a number of packets on, each with the number that it had where it was said.
fn numbered(lines: &Lines, from: usize, to: usize) -> Vec<(usize, &Got)> {
    let said = lines.phones[from].sent.iter().enumerate();
    let said: HashMap<&[u8], usize> = said.map(|(n, payload)| (payload.as_slice(), n)).collect();
    let got = lines.phones[to].got.iter();
    got.filter_map(|got| Some((*said.get(got.payload.as_slice())?, got)))
        .collect()
}

/// Numbers and timestamps are those of the partner, moved by the same distance for all.
fn assert_moved(codec: Codec, numbered: &[(usize, &Got)]) {
    let ticks = codec.rtp_clock() / 50;
    let place = |&(n, got): &(usize, &Got)| {
        let sequence = got.header.sequence.wrapping_sub(n as u16);
        let timestamp = got.header.timestamp.wrapping_sub(n as u32 * ticks);
        (
            sequence,
            timestamp,
            got.header.ssrc,
            got.header.payload_type,
        )
    };
    let first = place(&numbered[0]);
    for packet in numbered {
        assert_eq!(place(packet), first, "{codec:?}, packet {}", packet.0);
    }
}

#[test]
fn payloads_of_equal_codecs_arrive_as_they_were_sent_at_once() {
    for codec in MEMORY {
        let mut lines = Lines::new(vec![murmuring(1, codec), murmuring(2, codec)]);
        // The same codec has another number there.
        lines.phones[1].media = RemoteMedia {
            payload_type: 111,
            ..RemoteMedia::plain(lines.phones[1].address, 9, codec)
        };
        let own = lines.phones[1].media.receive_types[0].0;
        lines.phones[1].media.receive_types =
            vec![(if codec == Codec::Opus { 107 } else { own }, codec)];
        let media = lines.phones[1].media.clone();
        lines.legs[1]
            .set_remote(media, lines::policy())
            .expect("set");
        lines.run(200);
        let _bridge = bridge(&lines, 0, 1);
        lines.run(600);
        let before = [lines.phones[0].got.len(), lines.phones[1].got.len()];
        lines.run(2_000);
        for (from, to) in [(0, 1), (1, 0)] {
            let got = &lines.phones[to].got[before[to]..];
            let all = numbered(&lines, from, to);
            let late: Vec<_> = all
                .into_iter()
                .filter(|(_, packet)| packet.at >= got[0].at)
                .collect();
            assert_eq!(
                late.len(),
                got.len(),
                "{codec:?}: each is one of the partner's"
            );
            assert!((99..=101).contains(&got.len()), "{codec:?}: {}", got.len());
            assert_moved(codec, &late);
            let numbers: Vec<usize> = late.iter().map(|(n, _)| *n).collect();
            assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1));
            assert!(passed(&lines, to) > 110);
        }
        assert_eq!(
            lines.phones[1].got.last().expect("one").header.payload_type,
            111
        );
    }
}

#[test]
fn what_is_lost_stays_lost_and_what_is_late_keeps_its_place() {
    let suite = Suite::from_name("AES_CM_128_HMAC_SHA1_80").expect("one");
    let keys =
        |send: u8, receive: u8| SrtpKeys::new(suite, &[send; 30], &[receive; 30]).expect("keys");
    for codec in MEMORY {
        for secured in [false, true] {
            let mut phones = vec![murmuring(1, codec), murmuring(2, codec)];
            if secured {
                phones[1].media.srtp = Some(keys(1, 2));
                let mut seals = Protection::default();
                seals.set(offhook_media::clock::Time::ZERO, Some(&keys(2, 1)));
                phones[1].seals = Some(seals);
            }
            let mut lines = Lines::new(phones);
            let mut random = Random::new(5);
            lines.phones[0].way = Box::new(move |n| {
                let (lost, late) = (random.unit() < 0.03, n % 17 == 3);
                let delay = 10 + if late { 45 } else { 0 };
                (!(lost && n > 60)).then(|| Duration::from_millis(delay))
            });
            let _bridge = bridge(&lines, 0, 1);
            lines.run(1_500);
            let before = lines.phones[1].got.len();
            let from = lines.now;
            lines.run(6_000);
            let all = numbered(&lines, 0, 1);
            let late: Vec<_> = all.into_iter().filter(|got| got.1.at > from).collect();
            assert_eq!(late.len(), lines.phones[1].got.len() - before);
            assert_moved(codec, &late);
            let mut numbers: Vec<usize> = late.iter().map(|(n, _)| *n).collect();
            let behind = numbers.windows(2).filter(|pair| pair[1] < pair[0]).count();
            assert!(behind >= 12, "{codec:?} {secured}: {behind} came behind");
            numbers.sort_unstable();
            numbers.dedup();
            assert_eq!(numbers.len(), late.len(), "none came twice");
            let lost = numbers[numbers.len() - 1] + 1 - numbers[0] - numbers.len();
            assert!((3..=20).contains(&lost), "{codec:?}: {lost} lost");
        }
    }
}

#[test]
fn a_prompt_keys_and_hold_come_between_without_a_click() {
    for codec in MEMORY {
        let mut lines = Lines::new(vec![Phone::new(1, codec).says(440.0), Phone::new(2, codec)]);
        lines.phones[1].media.dtmf_send = Some(101);
        let media = lines.phones[1].media.clone();
        lines.legs[1]
            .set_remote(media.clone(), lines::policy())
            .expect("set");
        let _bridge = bridge(&lines, 0, 1);
        lines.run(600);
        let from = lines.now;
        let mut before = 0;
        let mut passes = |lines: &Lines, what: &str| {
            let now = passed(lines, 1);
            assert!(
                now > before + 20,
                "{codec:?}, after {what}: {before}, {now}"
            );
            before = now;
        };
        lines.run(500);
        passes(&lines, "the beginning");
        let pcm: Vec<u8> = support::tone(16_000, 1_000.0, 6_000.0, 8_000)
            .iter()
            .flat_map(|sample| sample.to_le_bytes())
            .collect();
        lines.legs[1].play(pcm, 16_000, None).expect("played");
        lines.run(1_300);
        passes(&lines, "a prompt");
        // Where an event stands in place of sound the far end makes up its own.
        let rough_before_key = roughness(&lines.phones[1].sound(from).0);
        lines.legs[1].send_dtmf("5").expect("sent");
        lines.run(600);
        let from = lines.now;
        lines.run(700);
        passes(&lines, "a key");
        let held = RemoteMedia {
            hold: true,
            ..media.clone()
        };
        lines.legs[1]
            .set_remote(held, lines::policy())
            .expect("set");
        lines.run(500);
        let quiet = lines.now;
        lines.run(200);
        assert!(level(&lines.phones[1].sound(quiet).0) < 60.0);
        lines.legs[1]
            .set_remote(media, lines::policy())
            .expect("set");
        lines.run(1_300);
        passes(&lines, "a hold");
        let phone = &lines.phones[1];
        for pair in phone.got.windows(2) {
            let (one, two) = (&pair[0].header, &pair[1].header);
            assert_eq!(one.sequence.wrapping_add(1), two.sequence);
            assert!(two.timestamp.wrapping_sub(one.timestamp) as i32 >= 0);
        }
        let (sound, _) = phone.sound(from);
        // A thousand hertz at 6000 bend by 3700 at 8 kHz, the partner's by 960.
        let rough = roughness(&sound);
        assert!(
            rough < 2_600 && rough_before_key < 2_600,
            "{codec:?}: {rough_before_key} {rough}"
        );
    }
}

#[test]
fn what_the_other_side_did_not_ask_for_is_encoded_anew() {
    let usual = opus::Settings::default();
    let narrow = opus::Settings {
        max_rate: 8_000,
        ..usual
    };
    let constant = opus::Settings { cbr: true, ..usual };
    let slow = opus::Settings {
        bitrate: 12_000,
        ceiling: Some(12_000),
        ..usual
    };
    let enough = opus::Settings {
        ceiling: Some(60_000),
        ..usual
    };
    for (asked, passes) in [
        (usual, true),
        (enough, true),
        (narrow, false),
        (constant, false),
        (slow, false),
    ] {
        let mut lines = Lines::new(vec![murmuring(1, Codec::Opus), murmuring(2, Codec::Opus)]);
        lines.phones[1].media.opus = asked;
        let media = lines.phones[1].media.clone();
        lines.legs[1]
            .set_remote(media, lines::policy())
            .expect("set");
        let _bridge = bridge(&lines, 0, 1);
        lines.run(1_500);
        assert_eq!(passed(&lines, 1) > 40, passes, "{asked:?}");
        assert!(passed(&lines, 0) > 40, "the other way is its own");
        let from = lines.now.saturating_sub(Duration::from_millis(500));
        assert!(level(&lines.phones[1].sound(from).0) > 2_000.0);
    }
}

#[test]
fn packets_longer_than_agreed_on_are_cut_and_shorter_ones_pass() {
    for codec in MEMORY {
        for (said, agreed, passes) in [(20, 40, true), (40, 20, false), (10, 20, true)] {
            let mut lines = Lines::new(vec![
                murmuring(1, codec).packets_of(said),
                murmuring(2, codec).packets_of(agreed),
            ]);
            let _bridge = bridge(&lines, 0, 1);
            lines.run(1_500);
            assert_eq!(passed(&lines, 1) > 20, passes, "{codec:?} {said} {agreed}");
            let from = lines.now.saturating_sub(Duration::from_millis(500));
            assert!(level(&lines.phones[1].sound(from).0) > 2_000.0);
        }
    }
}

#[test]
fn who_falls_silent_is_replaced_by_silence_and_comes_back() {
    for codec in MEMORY {
        let mut lines = Lines::new(vec![Phone::new(1, codec).says(440.0), Phone::new(2, codec)]);
        let _bridge = bridge(&lines, 0, 1);
        lines.run(600);
        lines.phones[0].voice = None;
        lines.run(300);
        let before = lines.phones[1].got.len();
        let quiet = lines.now;
        lines.run(500);
        let phone = &lines.phones[1];
        assert!(phone.got.len() >= before + 22, "the stream goes on");
        assert!(level(&phone.sound(quiet).0) < 60.0);
        lines.phones[0].say(440.0);
        let passed_before = passed(&lines, 1);
        lines.run(600);
        assert!(passed(&lines, 1) > passed_before + 10);
        let phone = &lines.phones[1];
        for pair in phone.got.windows(2) {
            let (one, two) = (&pair[0].header, &pair[1].header);
            assert_eq!(one.sequence.wrapping_add(1), two.sequence);
            assert!(two.timestamp.wrapping_sub(one.timestamp) as i32 > 0);
        }
        let (sound, _) = phone.sound(quiet);
        assert!(
            roughness(&sound) < 2_600,
            "{codec:?}: {}",
            roughness(&sound)
        );
    }
}

#[test]
fn digits_that_may_not_be_known_are_never_handed_on_in_the_sound() {
    let mut lines = Lines::new(vec![murmuring(1, Codec::Opus), murmuring(2, Codec::Opus)]);
    let _bridge = bridge(&lines, 0, 1);
    lines.run(600);
    lines.legs[0].mask_digits(DigitMask::Masked).expect("set");
    lines.run(40);
    let masked = passed(&lines, 1);
    lines.run(600);
    assert_eq!(passed(&lines, 1), masked);
    lines.legs[0].mask_digits(DigitMask::Off).expect("set");
    lines.run(1_500);
    assert!(passed(&lines, 1) > masked + 10);
}

/// Says a voice over and over, in a little noise, so that no two packets are equal.
fn speaks(phone: &mut Phone) {
    let sound = support::voice(16_000, 3.0, 5);
    let gain = 3_000.0 / level(&sound);
    let mut random = Random::new(11);
    phone.voice = Some(Box::new(move |n| {
        let voice = f64::from(sound[n as usize % sound.len()]) * gain;
        (voice + 200.0 * (random.unit() - 0.5)).clamp(-32_000.0, 32_000.0) as i16
    }));
}

#[test]
fn losses_of_opus_are_made_good_at_the_far_end_by_the_copies_that_came_along() {
    let mut lines = Lines::new(vec![Phone::new(1, Codec::Opus), Phone::new(2, Codec::Opus)]);
    speaks(&mut lines.phones[0]);
    let mut random = Random::new(7);
    lines.phones[0].way = Box::new(move |n| {
        let (lost, late) = (random.unit() < 0.03, random.unit());
        (n < 60 || !lost).then(|| Duration::from_millis(10 + (40.0 * late * late * late) as u64))
    });
    let _bridge = bridge(&lines, 0, 1);
    lines.run(2_000);
    let from = lines.now;
    lines.run(8_000);
    let all = numbered(&lines, 0, 1);
    let mut heard: Vec<usize> = all
        .iter()
        .filter(|(_, got)| got.at >= from)
        .map(|(n, _)| *n)
        .collect();
    heard.sort_unstable();
    let said = &lines.phones[0].sent;
    let mut whole = Decoder::new(Codec::Opus);
    let mut lossy = Decoder::new(Codec::Opus);
    let (mut lost, mut dips) = (0, 0);
    let mut next = heard[0];
    for &n in &heard {
        for (missing, payload) in said.iter().enumerate().take(n + 1).skip(next) {
            let (mut meant, mut made) = ([0; 320], [0; 320]);
            assert_eq!(whole.decode(payload, &mut meant), 320);
            if missing == n {
                assert_eq!(lossy.decode(payload, &mut made), 320);
            } else {
                lost += 1;
                // The copy is of the packet right before.
                let done = match missing + 1 == n {
                    true => lossy.recover(&said[n], &mut made),
                    false => lossy.conceal(&mut made),
                };
                assert!(done);
            }
            for (meant, made) in meant.chunks(160).zip(made.chunks(160)) {
                let (meant, made) = (level(meant), level(made));
                dips += usize::from(meant > 1_000.0 && made < 0.4 * meant);
            }
        }
        next = n + 1;
    }
    assert!(lost >= 5, "{lost} lost");
    // Of 8000 ms.
    assert!(
        dips <= 2,
        "{} ms are too quiet, {lost} packets were lost",
        10 * dips
    );
    assert!(passed(&lines, 1) > 350);
}

/// A telephone that speaks for 2 s and is silent for 2 s, of which it sends but a sign of life; `asks`: it wants to hear the same of others.
fn pausing(n: u16, asks: bool, tells: bool) -> Phone {
    let mut phone = Phone::new(n, Codec::Opus).pausing(asks, tells);
    let mut random = Random::new(u64::from(n));
    let rate = u64::from(phone.rate());
    phone.voice = Some(Box::new(move |n| {
        let noise = 400.0 * (random.unit() - 0.5);
        let word = (n as f64 * 0.1).sin() * 6_000.0;
        match n % (4 * rate) < 2 * rate {
            true => (word + noise) as i16,
            false => 0,
        }
    }));
    phone
}

/// The stream has no gaps in its numbers, and its timestamps tell the time that passed.
fn assert_flows(got: &[Got]) {
    let first = &got[0];
    for (n, packet) in got.iter().enumerate() {
        let number = first.header.sequence.wrapping_add(n as u16);
        assert_eq!(packet.header.sequence, number);
        let passed = (packet.at - first.at).as_millis() as i32;
        let told = packet.header.timestamp.wrapping_sub(first.header.timestamp) as i32 / 48;
        assert!((passed - told).abs() <= 30, "{passed} ms, not {told}");
    }
    let later = |pair: &[Got]| {
        pair[1]
            .header
            .timestamp
            .wrapping_sub(pair[0].header.timestamp)
    };
    let overlap = got.windows(2).filter(|&pair| (later(pair) as i32) < 960);
    assert_eq!(overlap.count(), 0);
}

/// How loud it is from a time on, for 200 ms, to who hears silence where nothing comes.
fn level_from(lines: &Lines, from: Duration, phone: usize) -> f64 {
    let start = lines::START + from;
    let until = start + Duration::from_millis(200);
    let (sound, _) = lines.phones[phone].sound(start);
    let heard = lines.phones[phone].got.iter();
    let packets = heard.filter(|got| (start..until).contains(&got.at)).count();
    let sound = &sound[..320 * packets];
    let energy = sound.iter().map(|sample| f64::from(*sample).powi(2));
    (energy.sum::<f64>() / 3_200.0).sqrt()
}

#[test]
fn a_pause_that_was_asked_for_is_handed_on_and_the_next_word_is_whole() {
    let mut lines = Lines::new(vec![pausing(1, true, true), pausing(2, true, true)]);
    let _bridge = bridge(&lines, 0, 1);
    lines.run(500);
    let before = lines.phones[1].got.len();
    let passed_before = passed(&lines, 1);
    lines.run(11_500);
    let (said, phone) = (&lines.phones[0].sent, &lines.phones[1]);
    let got = &phone.got[before..];
    assert_flows(&phone.got);
    assert_eq!(passed(&lines, 1) - passed_before, got.len() as u64);
    let from = said.len() - got.len();
    for (n, (said, got)) in said[from..].iter().zip(got).enumerate() {
        assert_eq!(*said, got.payload, "packet {n}");
    }
    let pauses = got
        .iter()
        .filter(|got| got.payload.len() <= opus::DTX_BYTES);
    assert!(pauses.count() >= 9, "three pauses, told again every 400 ms");
    for pair in got.windows(2) {
        let apart = (pair[1].at - pair[0].at).as_millis();
        assert!(apart <= 420 && pair[1].header.marker == (apart > 20));
    }
    for word in [0u64, 4_000, 8_000] {
        let at = |ms: u64| Duration::from_millis(word + ms);
        assert!(level_from(&lines, at(100), 1) > 3_000.0);
        assert!(level_from(&lines, at(2_500), 1) < 60.0);
    }
}

#[test]
fn a_pause_that_was_not_asked_for_is_filled_with_silence() {
    let mut lines = Lines::new(vec![pausing(1, true, true), pausing(2, false, true)]);
    let _bridge = bridge(&lines, 0, 1);
    lines.run(12_000);
    let got = &lines.phones[1].got;
    assert_flows(got);
    assert!(got.iter().all(|got| got.payload.len() > opus::DTX_BYTES));
    let apart = |pair: &[Got]| (pair[1].at - pair[0].at).as_millis();
    let longest = got.windows(2).map(apart).max();
    assert!(longest <= Some(40), "{longest:?}");
    for word in [0u64, 4_000, 8_000] {
        let at = |ms: u64| Duration::from_millis(word + ms);
        assert!(level_from(&lines, at(100), 1) > 3_000.0);
        assert!(level_from(&lines, at(2_500), 1) < 60.0);
    }
    // A second of a word is encoded anew, the rest of it is handed on.
    assert!(passed(&lines, 1) > 150, "{}", passed(&lines, 1));
}

#[test]
fn a_pause_that_nobody_told_of_is_our_own_and_words_are_whole_around_it() {
    for asks in [false, true] {
        let mut lines = Lines::new(vec![pausing(1, true, false), pausing(2, asks, true)]);
        let _bridge = bridge(&lines, 0, 1);
        lines.run(12_000);
        let got = &lines.phones[1].got;
        assert_flows(got);
        let apart = |pair: &[Got]| (pair[1].at - pair[0].at).as_millis();
        let longest = got.windows(2).map(apart).max();
        // It takes 200 ms until we know that it is a pause; of our own silence every 400 ms is heard where that was asked for.
        let most = if asks { 440 } else { 260 };
        assert!(longest <= Some(most), "{asks}: {longest:?}");
        for word in [0u64, 4_000, 8_000] {
            let at = |ms: u64| Duration::from_millis(word + ms);
            assert!(level_from(&lines, at(100), 1) > 3_000.0);
            assert!(level_from(&lines, at(2_600), 1) < 60.0);
        }
        assert!(passed(&lines, 1) > 250, "{asks}: {}", passed(&lines, 1));
    }
}

#[test]
fn who_is_gone_in_a_pause_is_replaced_by_silence_after_a_second() {
    for asks in [false, true] {
        let mut lines = Lines::new(vec![pausing(1, true, true), pausing(2, asks, true)]);
        let _bridge = bridge(&lines, 0, 1);
        lines.run(2_300);
        lines.phones[0].way = Box::new(|_| None);
        let gone = lines.phones[1].got.len();
        lines.run(2_700);
        let got = &lines.phones[1].got;
        assert_flows(got);
        let apart = |pair: &[Got]| (pair[1].at - pair[0].at).as_millis();
        let longest = got[gone - 1..].windows(2).map(apart).max();
        // A pause that was told of is waited for; then our own silence is told of every 400 ms. Where nobody asked for that there is silence all the time.
        let expected = if asks { 1_000..=1_080 } else { 20..=40 };
        let longest = longest.expect("packets");
        assert!(expected.contains(&longest), "{asks}: {longest}");
        let then = got[gone + 1..].windows(2).map(apart).max();
        assert!(
            then <= Some(if asks { 440 } else { 40 }),
            "{asks}: {then:?}"
        );
        lines.phones[0].way = Box::new(|_| Some(Duration::from_millis(10)));
        lines.run(500);
        assert_flows(&lines.phones[1].got);
        assert!(level_from(&lines, Duration::from_millis(5_150), 1) > 3_000.0);
    }
}
