//! Two legs that hear each other: what each peer gets, packet by packet and as sound.
mod lines;
mod support;

use lines::{Lines, Phone};
use offhook_media::clock::Time;
use offhook_media::codec::Codec;
use offhook_media::engine::BridgeSettings;
use std::time::Duration;
use support::{level, roughness, spectrum_line};

const BOTH: BridgeSettings = BridgeSettings {
    digits: true,
    one_way: false,
};

fn bridge(lines: &Lines, a: usize, b: usize) -> offhook_media::engine::BridgeHandle {
    let legs = &lines.legs;
    lines
        .engine
        .bridge(&legs[a], &legs[b], BOTH)
        .expect("bridged")
}

/// One stream from first to last: one SSRC, numbers one after the other, timestamps that never go back and follow the clock.
fn assert_one_stream(phone: &Phone) {
    let clock = u64::from(phone.media.codec.rtp_clock());
    for pair in phone.got.windows(2) {
        let (one, two) = (&pair[0].header, &pair[1].header);
        assert_eq!(one.ssrc, two.ssrc);
        assert_eq!(one.sequence.wrapping_add(1), two.sequence);
        let step = two.timestamp.wrapping_sub(one.timestamp) as i32;
        assert!(step >= 0, "a timestamp goes back by {step}");
    }
    let (first, last) = (&phone.got[0], phone.got.last().expect("packets"));
    let passed = (last.at - first.at).as_millis() as u64 * clock / 1_000;
    let counted = u64::from(last.header.timestamp.wrapping_sub(first.header.timestamp));
    assert!(passed.abs_diff(counted) <= clock / 20, "{passed} {counted}");
}

/// How strong a tone is in what a phone got from a time on.
fn strength(phone: &Phone, from: Time, hertz: f64) -> f64 {
    let (sound, _) = phone.sound(from);
    spectrum_line(&sound, phone.rate(), hertz).0
}

#[test]
fn tones_go_both_ways_in_all_pairs_of_codecs() {
    for one in Codec::ALL {
        for two in Codec::ALL {
            let phones = vec![
                Phone::new(1, one).says(440.0),
                Phone::new(2, two).says(1_000.0),
            ];
            let mut lines = Lines::new(phones);
            lines.run(300);
            let _bridge = bridge(&lines, 0, 1);
            lines.run(300);
            let from = lines.now;
            lines.run(1_000);
            for (phone, own, other) in [(0, 440.0, 1_000.0), (1, 1_000.0, 440.0)] {
                let phone = &lines.phones[phone];
                let (heard, echo) = (strength(phone, from, other), strength(phone, from, own));
                assert!(
                    (7_500.0..8_500.0).contains(&heard),
                    "{one:?} {two:?}: {heard}"
                );
                assert!(echo < 100.0, "{one:?} {two:?}: {echo}");
                let (sound, whole) = phone.sound(from);
                assert!(whole, "{one:?} {two:?}: timestamps have gaps");
                // A sine bends by its frequency: 8000 (2π 1000/8000)² is 4935; the coarsest codec adds its steps.
                let most = if other > 500.0 { 5_600 } else { 2_000 };
                assert!(
                    roughness(&sound) < most,
                    "{one:?} {two:?}: {}",
                    roughness(&sound)
                );
                assert_one_stream(phone);
            }
        }
    }
}

#[test]
fn a_partner_is_heard_after_as_little_as_possible() {
    let mut lines = Lines::new(vec![
        Phone::new(1, Codec::Pcmu).says(440.0),
        Phone::new(2, Codec::Pcmu),
    ]);
    // A click each second.
    lines.phones[0].voice = Some(Box::new(|n| if n % 8_000 < 40 { 16_000 } else { 100 }));
    let _bridge = bridge(&lines, 0, 1);
    lines.run(3_000);
    let began = Time::from_millis(1_000_000 + 3);
    let (sound, _) = lines.phones[1].sound(began);
    let first = lines.phones[1]
        .got
        .iter()
        .find(|got| got.at >= began)
        .expect("one");
    let loud: Vec<usize> = (1..sound.len())
        .filter(|&n| sound[n] > 8_000 && sound[n - 1] <= 8_000)
        .collect();
    let at = (first.at - began).as_millis() as usize * 8 + loud[loud.len() - 1];
    // Said in the packet that leaves 20 ms after its first sample, 10 ms on the way, then the buffer's 8 ms and a tick of up to 20.
    let delay = at % 8_000 / 8;
    assert!((18..=60).contains(&delay), "{delay} ms");
    let stats = lines.legs[1].stats();
    assert!(
        stats.jitter_delay_us.get() <= 40_000,
        "{}",
        stats.jitter_delay_us.get()
    );
}

#[test]
fn partners_change_without_a_click_and_without_a_break() {
    for codec in Codec::ALL {
        let mut lines = Lines::new(vec![
            Phone::new(1, codec).says(300.0),
            Phone::new(2, codec).says(440.0),
            Phone::new(3, codec).says(620.0),
        ]);
        lines.run(200);
        let from = lines.now;
        let first = bridge(&lines, 0, 1);
        lines.run(503);
        let second = bridge(&lines, 0, 2);
        let to_third = lines.now + Duration::from_millis(100);
        lines.run(507);
        assert!(strength(&lines.phones[0], to_third, 620.0) > 7_000.0);
        assert!(strength(&lines.phones[0], to_third, 440.0) < 500.0);
        // The first bridge is over: closing it parts nobody.
        first.close().expect("closed");
        let still = lines.now;
        lines.run(300);
        assert!(strength(&lines.phones[0], still, 620.0) > 7_000.0);
        second.close().expect("closed");
        let alone = lines.now + Duration::from_millis(60);
        lines.run(400);
        let (silence, _) = lines.phones[0].sound(alone);
        assert!(silence.len() as u32 > lines.phones[0].rate() / 4);
        assert!(level(&silence) < 30.0, "{codec:?}: {}", level(&silence));
        for phone in &lines.phones {
            assert_one_stream(phone);
            let (sound, whole) = phone.sound(from);
            assert!(whole, "{codec:?}");
            // The tones bend by 440² and 620² at most: 8000 (2π 620/8000)² is 1900.
            assert!(
                roughness(&sound) < 2_600,
                "{codec:?}: {}",
                roughness(&sound)
            );
        }
    }
}
