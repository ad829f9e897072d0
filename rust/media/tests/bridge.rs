//! Two legs that hear each other: what each peer gets, packet by packet and as sound.
mod lines;
mod support;

use lines::{Lines, Phone};
use offhook_media::clock::Time;
use offhook_media::codec::{Codec, Decoder};
use offhook_media::engine::{BridgeSettings, DigitMask, What};
use offhook_media::leg::{DtmfBy, DtmfTones, RemoteMedia};
use offhook_media::melody::Melody;
use offhook_media::srtp::{Protection, SrtpKeys, Suite};
use std::sync::Arc;
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

/// How many milliseconds after the last packet of a phone its partner has something of it to hear. The phone is silent then.
fn rings_on(lines: &mut Lines, speaker: usize, listener: usize) -> u64 {
    lines.phones[speaker].voice = None;
    let end = lines.now;
    lines.run(400);
    let loud = lines.phones[listener].got.iter().rev().find(|got| {
        let mut decoder = Decoder::new(lines.phones[listener].media.codec);
        let mut pcm = [0; 2_000];
        let samples = decoder.decode(&got.payload, &mut pcm);
        level(&pcm[..samples]) > 1_000.0
    });
    loud.map_or(0, |got| (got.at - end).as_millis() as u64)
}

/// What is right: what is on its way for 10 ms, the frame that the buffer gives out last, and 60 ms that fade, since nobody knows that no more comes.
const RINGS_ON: u64 = 90;

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
fn equal_codecs_with_a_byte_a_sample_pass_byte_for_byte() {
    for codec in [Codec::Pcmu, Codec::Pcma] {
        let mut lines = Lines::new(vec![Phone::new(1, codec), Phone::new(2, codec)]);
        let mut random = support::Random::new(3);
        lines.phones[0].voice = Some(Box::new(move |_| (20_000.0 * (random.unit() - 0.5)) as i16));
        let mut sent: Vec<u8> = Vec::new();
        let _bridge = bridge(&lines, 0, 1);
        lines.run(1_000);
        for got in lines.phones[0].sent.iter() {
            sent.extend_from_slice(got);
        }
        let got: Vec<u8> = lines.phones[1]
            .got
            .iter()
            .flat_map(|got| got.payload.clone())
            .collect();
        // The last half of a second that has come, in what was sent. µ-law has two zeros, of which one is passed on.
        let plain = |bytes: &[u8]| -> Vec<u8> {
            let zero = |&byte: &u8| {
                if codec == Codec::Pcmu && byte == 0x7f {
                    0xff
                } else {
                    byte
                }
            };
            bytes.iter().map(zero).collect()
        };
        let (sent, got) = (plain(&sent), plain(&got[got.len() - 4_000..]));
        assert!(sent.windows(got.len()).any(|part| part == got), "{codec:?}");
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

/// A key as a telephone sends it: 8 packets of 20 ms, the last three of which say that it is let go.
fn press(lines: &mut Lines, phone: usize, payload_type: u8, code: u8) {
    let begins = lines.phones[phone].timestamp();
    let tick = lines.phones[phone].media.codec.rtp_clock() as u16 / 50;
    for packet in 0..10_u16 {
        let ends = packet >= 7;
        let duration = tick * (packet.min(7) + 1);
        let end = if ends { 0x80 } else { 0 };
        let body = [code, end | 10, (duration >> 8) as u8, duration as u8];
        let now = lines.now;
        lines.phones[phone].send(now, payload_type, packet == 0, begins, &body);
        lines.run(if packet < 7 { 20 } else { 1 });
    }
}

/// Keys that a phone got as events: payload type, code, and the longest duration in ticks, of each that ended.
fn keys(phone: &Phone, payload_type: u8) -> Vec<(u8, u16)> {
    let mut out: Vec<(u32, u8, u16)> = Vec::new();
    for got in phone
        .got
        .iter()
        .filter(|got| got.header.payload_type == payload_type)
    {
        let duration = u16::from_be_bytes([got.payload[2], got.payload[3]]);
        match out.last_mut().filter(|key| key.0 == got.header.timestamp) {
            Some(key) => key.2 = key.2.max(duration),
            None => out.push((got.header.timestamp, got.payload[0], duration)),
        }
    }
    out.into_iter()
        .map(|(_, code, duration)| (code, duration))
        .collect()
}

/// A phone whose keys are events of that type, both ways.
fn with_events(mut phone: Phone, payload_type: u8) -> Phone {
    phone.media.dtmf_send = Some(payload_type);
    phone.media.dtmf_receive = vec![payload_type];
    phone
}

fn digits_told(lines: &Lines, leg: usize) -> String {
    let digits = lines
        .told(leg, "digit")
        .into_iter()
        .map(|event| match &event.what {
            What::Digit { digit, .. } => digit.unwrap_or('?'),
            _ => unreachable!("by its kind"),
        });
    digits.collect()
}

#[test]
fn a_key_is_pressed_on_the_other_side_with_its_own_payload_type() {
    let mut lines = Lines::new(vec![
        with_events(Phone::new(1, Codec::Pcmu).says(440.0), 101),
        with_events(Phone::new(2, Codec::G722).says(620.0), 96),
    ]);
    let _bridge = bridge(&lines, 0, 1);
    lines.run(300);
    press(&mut lines, 0, 101, 5);
    lines.run(600);
    assert_eq!(digits_told(&lines, 0), "5", "Python is told as ever");
    assert_eq!(digits_told(&lines, 1), "");
    assert_eq!(
        keys(&lines.phones[1], 96),
        [(5, 1_280)],
        "for as long as it was pressed"
    );
    assert_eq!(keys(&lines.phones[0], 101), []);
    // The sound goes on after it, no later than before.
    let after = lines.now;
    lines.run(500);
    assert!(strength(&lines.phones[1], after, 440.0) > 7_000.0);
    assert_one_stream(&lines.phones[1]);
}

#[test]
fn nothing_of_a_partner_is_late_after_keys_and_prompts() {
    let phones = || {
        vec![
            with_events(Phone::new(1, Codec::Pcmu).says(440.0), 101),
            with_events(Phone::new(2, Codec::Pcmu), 101),
        ]
    };
    let mut plain = Lines::new(phones());
    let _plain = bridge(&plain, 0, 1);
    plain.run(500);
    let usual = rings_on(&mut plain, 0, 1);
    assert!((1..=RINGS_ON).contains(&usual), "{usual} ms");
    let mut lines = Lines::new(phones());
    let _bridge = bridge(&lines, 0, 1);
    lines.run(500);
    lines.legs[1].send_dtmf("12").expect("sent");
    lines.run(700);
    let pcm = [0x00, 0x10].repeat(4_000);
    lines.legs[1].play(pcm, 8_000, None).expect("played");
    lines.run(800);
    assert_eq!(keys(&lines.phones[1], 101).len(), 2);
    let after = rings_on(&mut lines, 0, 1);
    assert!(after <= usual + 20, "{after} ms instead of {usual}");
}

#[test]
fn who_has_changed_partners_often_is_not_heard_later_for_it() {
    let mut lines = Lines::new(vec![
        Phone::new(1, Codec::Pcmu).says(440.0),
        Phone::new(2, Codec::Pcmu).says(620.0),
        Phone::new(3, Codec::Pcmu).says(800.0),
    ]);
    for n in 0..9 {
        let _bridge = bridge(&lines, 0, 1 + n % 2);
        lines.run(303);
    }
    let _bridge = bridge(&lines, 0, 1);
    lines.run(300);
    let after = rings_on(&mut lines, 1, 0);
    assert!((1..=RINGS_ON).contains(&after), "{after} ms");
}

#[test]
fn a_key_lasts_as_long_by_the_clock_of_the_other_side() {
    let mut lines = Lines::new(vec![
        with_events(Phone::new(1, Codec::Pcma).says(440.0), 101),
        with_events(Phone::new(2, Codec::Opus).says(620.0), 96),
    ]);
    let _bridge = bridge(&lines, 0, 1);
    lines.run(300);
    press(&mut lines, 0, 101, 5);
    lines.run(600);
    press(&mut lines, 1, 96, 6);
    lines.run(600);
    assert_eq!(keys(&lines.phones[1], 96), [(5, 7_680)], "48 kHz");
    assert_eq!(keys(&lines.phones[0], 101), [(6, 1_280)], "8 kHz");
    lines.phones.iter().for_each(assert_one_stream);
}

#[test]
fn keys_told_by_signalling_go_on_as_tones_or_by_signalling() {
    let mut lines = Lines::new(vec![
        Phone::new(1, Codec::Pcma).says(440.0),
        Phone::new(2, Codec::Pcma),
        Phone::new(3, Codec::Pcma),
    ]);
    for (phone, by) in [(1, DtmfBy::Tone), (2, DtmfBy::Info)] {
        lines.phones[phone].media.dtmf_by = by;
        let media = lines.phones[phone].media.clone();
        lines.legs[phone]
            .set_remote(media, lines::policy())
            .expect("set");
    }
    let first = bridge(&lines, 0, 1);
    lines.run(300);
    lines.legs[0]
        .press('7', Duration::from_millis(200))
        .expect("pressed");
    let pressed = lines.now;
    lines.run(150);
    for hertz in [852.0, 1_209.0] {
        let heard = strength(&lines.phones[1], pressed + Duration::from_millis(60), hertz);
        assert!(heard > 2_000.0, "{hertz} Hz: {heard}");
    }
    lines.run(500);
    drop(first);
    let _second = bridge(&lines, 0, 2);
    lines.legs[0]
        .press('7', Duration::from_millis(200))
        .expect("pressed");
    lines.run(300);
    let told = lines.told(2, "key_by_info");
    assert_eq!(told.len(), 1);
    assert!(matches!(
        told[0].what,
        What::KeyByInfo {
            digit: '7',
            duration_ms: 200
        }
    ));
}

#[test]
fn tones_that_are_keys_are_pressed_and_left_out_of_the_sound() {
    let mut lines = Lines::new(vec![
        Phone::new(1, Codec::Pcmu),
        with_events(Phone::new(2, Codec::Pcmu), 101),
    ]);
    lines.phones[0].media.dtmf_tones = DtmfTones::Heard;
    let media = lines.phones[0].media.clone();
    lines.legs[0]
        .set_remote(media, lines::policy())
        .expect("set");
    // 300 ms of a 9 after half a second, and again and again.
    lines.phones[0].voice = Some(Box::new(|n| {
        let tone = |hertz: f64| (n as f64 * hertz * std::f64::consts::TAU / 8_000.0).sin();
        let on = (4_000..6_400).contains(&(n % 8_000));
        if on {
            (5_000.0 * (tone(852.0) + tone(1_477.0))) as i16
        } else {
            0
        }
    }));
    let _bridge = bridge(&lines, 0, 1);
    lines.run(3_500);
    assert_eq!(digits_told(&lines, 0), "999");
    let pressed: Vec<u8> = keys(&lines.phones[1], 101)
        .iter()
        .map(|key| key.0)
        .collect();
    assert_eq!(pressed, [9, 9, 9]);
    let (sound, _) = lines.phones[1].sound(Time::from_millis(1_000_000));
    let loud = sound
        .chunks(80)
        .filter(|tenth| level(tenth) > 1_000.0)
        .count();
    // Of 900 ms no more than the first 50 of each are heard before it is known what they are.
    assert!(loud <= 15, "{} ms", 10 * loud);
    assert!(loud >= 3, "a tone begins as any sound does");
}

#[test]
fn what_may_not_be_known_or_was_not_asked_for_is_not_pressed() {
    for (digits, mask, expected) in [
        (true, DigitMask::Off, 1),
        (true, DigitMask::Masked, 1),
        (true, DigitMask::Withheld, 0),
        (false, DigitMask::Off, 0),
    ] {
        let mut lines = Lines::new(vec![
            with_events(Phone::new(1, Codec::Pcmu).says(440.0), 101),
            with_events(Phone::new(2, Codec::Pcmu).says(620.0), 101),
        ]);
        lines.legs[0].mask_digits(mask).expect("set");
        let settings = BridgeSettings { digits, ..BOTH };
        let legs = &lines.legs;
        let _bridge = lines
            .engine
            .bridge(&legs[0], &legs[1], settings)
            .expect("bridged");
        lines.run(300);
        press(&mut lines, 0, 101, 3);
        lines.run(600);
        assert_eq!(lines.told(0, "digit").len(), 1, "{mask:?}");
        assert_eq!(
            keys(&lines.phones[1], 101).len(),
            expected,
            "{digits} {mask:?}"
        );
    }
}

#[test]
fn one_way_is_heard_by_one_until_it_is_both_ways() {
    let mut lines = Lines::new(vec![
        with_events(Phone::new(1, Codec::Pcmu).says(440.0), 101),
        with_events(Phone::new(2, Codec::G722).says(620.0), 101),
    ]);
    let legs = &lines.legs;
    let settings = BridgeSettings {
        one_way: true,
        ..BOTH
    };
    let _early = lines
        .engine
        .bridge(&legs[0], &legs[1], settings)
        .expect("bridged");
    let from = lines.now + Duration::from_millis(200);
    lines.run(600);
    press(&mut lines, 0, 101, 3);
    lines.run(300);
    assert!(strength(&lines.phones[0], from, 620.0) > 7_000.0);
    assert!(level(&lines.phones[1].sound(from).0) < 30.0);
    assert_eq!(keys(&lines.phones[1], 101), []);
    let joined = lines.now;
    let _bridge = bridge(&lines, 0, 1);
    lines.run(600);
    assert!(strength(&lines.phones[1], joined + Duration::from_millis(200), 440.0) > 7_000.0);
    // Who was heard already is heard without a gap.
    let (sound, _) = lines.phones[0].sound(from);
    let quiet = sound
        .chunks(80)
        .filter(|tenth| level(tenth) < 3_000.0)
        .count();
    assert_eq!(quiet, 0);
    assert!(roughness(&sound) < 2_600);
}

#[test]
fn on_hold_nobody_hears_the_other_and_music_is_as_ever() {
    let mut lines = Lines::new(vec![
        Phone::new(1, Codec::Pcmu).says(440.0),
        Phone::new(2, Codec::Pcma).says(620.0),
    ]);
    let tone = support::tone(8_000, 1_500.0, 8_000.0, 8_000);
    let melody = Melody::new(&tone, 8_000).expect("music");
    lines.legs[1]
        .hold_music(Some(Arc::new(melody)))
        .expect("set");
    let _bridge = bridge(&lines, 0, 1);
    lines.run(500);
    let hold = |lines: &Lines, hold| {
        let media = RemoteMedia {
            hold,
            ..lines.phones[1].media.clone()
        };
        lines.legs[1]
            .set_remote(media, lines::policy())
            .expect("set");
    };
    hold(&lines, true);
    let held = lines.now + Duration::from_millis(150);
    lines.run(1_000);
    assert!(
        level(&lines.phones[0].sound(held).0) < 30.0,
        "silence for the partner"
    );
    assert!(
        strength(&lines.phones[1], held, 1_500.0) > 6_000.0,
        "music for who is held"
    );
    assert!(strength(&lines.phones[1], held, 440.0) < 100.0);
    hold(&lines, false);
    let back = lines.now + Duration::from_millis(150);
    lines.run(600);
    assert!(strength(&lines.phones[0], back, 620.0) > 7_000.0);
    assert!(strength(&lines.phones[1], back, 440.0) > 7_000.0);
    assert!(strength(&lines.phones[1], back, 1_500.0) < 100.0);
    let (sound, whole) = lines.phones[1].sound(held);
    // The music bends by 1500² at most, 11103, and fades in and out within a frame.
    assert!(whole && roughness(&sound) < 12_500, "{}", roughness(&sound));
    assert!(
        lines.legs[1].stats().jitter_delay_us.get() < 60_000,
        "nothing waits for the end of the hold"
    );
}

#[test]
fn a_prompt_is_heard_first_and_nothing_is_late_after_it() {
    let mut lines = Lines::new(vec![
        Phone::new(1, Codec::G722).says(440.0),
        Phone::new(2, Codec::Pcmu).says(620.0),
    ]);
    let _bridge = bridge(&lines, 0, 1);
    lines.run(500);
    let before = lines.phones[1].got.len();
    let pcm: Vec<u8> = support::tone(8_000, 1_500.0, 6_000.0, 4_000)
        .iter()
        .flat_map(|sample| sample.to_le_bytes())
        .collect();
    lines.legs[1]
        .play(pcm, 8_000, Some("told".to_owned()))
        .expect("played");
    let prompt = lines.now;
    lines.run(400);
    let during = strength(&lines.phones[1], prompt + Duration::from_millis(60), 440.0);
    assert!(
        during < 300.0,
        "the partner isn't heard meanwhile: {during}"
    );
    assert!(
        strength(&lines.phones[0], prompt, 620.0) > 7_000.0,
        "the other way it is"
    );
    lines.run(300);
    assert_eq!(lines.told(1, "mark").len(), 1);
    let after = lines.now;
    lines.run(500);
    assert!(strength(&lines.phones[1], after, 440.0) > 7_000.0);
    // No frame waits behind another: what leaves is as old as the buffer makes it.
    assert!(lines.phones[1].got.len() > before + 50);
    assert_one_stream(&lines.phones[1]);
    let (sound, _) = lines.phones[1].sound(prompt);
    // The prompt is cut in its first sample and joins a faded tone.
    assert!(roughness(&sound) < 9_500, "{}", roughness(&sound));
}

#[test]
fn a_bad_way_is_made_up_for() {
    for (one, two) in [
        (Codec::Pcmu, Codec::Pcmu),
        (Codec::G722, Codec::Pcma),
        (Codec::Pcma, Codec::G722),
    ] {
        let mut lines = Lines::new(vec![Phone::new(1, one).says(440.0), Phone::new(2, two)]);
        let mut random = support::Random::new(7);
        lines.phones[0].way = Box::new(move |_| {
            let (lost, late) = (random.unit() < 0.03, random.unit());
            (!lost).then(|| Duration::from_millis(10 + (40.0 * late * late * late) as u64))
        });
        let _bridge = bridge(&lines, 0, 1);
        lines.run(2_000);
        let from = lines.now;
        lines.run(6_000);
        let phone = &lines.phones[1];
        assert_one_stream(phone);
        let (sound, whole) = phone.sound(from);
        assert!(whole);
        let quiet = sound.chunks(phone.rate() as usize / 100);
        let quiet = quiet.filter(|tenth| level(tenth) < 2_500.0).count();
        assert!(
            quiet <= 6,
            "{one:?} {two:?}: {} of 6000 ms are silent",
            10 * quiet
        );
        let stats = lines.legs[1].stats();
        assert!(stats.jitter_concealed_frames.get() > 3);
        assert!(stats.jitter_delay_us.get() < 120_000);
    }
}

#[test]
fn media_may_be_encrypted_on_either_side() {
    let suite = Suite::from_name("AES_CM_128_HMAC_SHA1_80").expect("one");
    let key = |fill: u8| vec![fill; 30];
    let mut phones = vec![
        Phone::new(1, Codec::Pcmu).says(440.0),
        Phone::new(2, Codec::Pcma).says(620.0),
    ];
    phones[0].media.srtp = Some(SrtpKeys::new(suite, &key(1), &key(2)).expect("keys"));
    let own = SrtpKeys::new(suite, &key(2), &key(1)).expect("keys");
    let mut seals = Protection::default();
    seals.set(Time::from_millis(1_000_000), Some(&own));
    phones[0].seals = Some(seals);
    let mut lines = Lines::new(phones);
    let _bridge = bridge(&lines, 0, 1);
    lines.run(300);
    let from = lines.now;
    lines.run(600);
    assert!(strength(&lines.phones[0], from, 620.0) > 7_000.0);
    assert!(strength(&lines.phones[1], from, 440.0) > 7_000.0);
    for phone in &lines.phones {
        assert_one_stream(phone);
    }
}

#[test]
fn packets_may_be_of_different_lengths() {
    for (one, two) in [(10, 60), (30, 20), (20, 40)] {
        let mut lines = Lines::new(vec![
            Phone::new(1, Codec::Pcmu).packets_of(one).says(440.0),
            Phone::new(2, Codec::G722).packets_of(two).says(620.0),
        ]);
        let _bridge = bridge(&lines, 0, 1);
        lines.run(600);
        let from = lines.now;
        lines.run(1_200);
        for (phone, hertz) in [(0, 620.0), (1, 440.0)] {
            let phone = &lines.phones[phone];
            let heard = strength(phone, from, hertz);
            assert!(heard > 7_000.0, "{one} {two} {hertz}: {heard}");
            assert_one_stream(phone);
        }
    }
}

#[test]
fn who_ends_or_is_joined_with_something_else_leaves_the_other_in_silence() {
    let mut lines = Lines::new(vec![
        Phone::new(1, Codec::Pcmu).says(440.0),
        Phone::new(2, Codec::Pcmu).says(620.0),
        Phone::new(3, Codec::Pcmu).says(800.0),
    ]);
    let first = bridge(&lines, 0, 1);
    lines.run(400);
    // An echo takes the partner's place.
    lines.legs[0].echo(true).expect("set");
    lines.run(200);
    let from = lines.now;
    lines.run(500);
    assert!(strength(&lines.phones[0], from, 440.0) > 7_000.0);
    assert!(level(&lines.phones[1].sound(from).0) < 30.0);
    // A bridge takes that of the echo.
    let _second = bridge(&lines, 0, 2);
    first.close().expect("closed");
    lines.run(200);
    let from = lines.now;
    lines.run(500);
    assert!(strength(&lines.phones[0], from, 800.0) > 7_000.0);
    assert!(strength(&lines.phones[0], from, 440.0) < 200.0);
    // Parting from a wire that isn't there changes nothing.
    lines.legs[0].connect(None, false).expect("parted");
    let from = lines.now;
    lines.run(300);
    assert!(strength(&lines.phones[0], from, 800.0) > 7_000.0);
    lines.legs[2].close();
    lines.run(200);
    // Who gets the place of the leg that has ended is nobody's partner.
    lines.add(with_events(Phone::new(4, Codec::Pcmu).says(1_000.0), 101));
    lines.legs[0]
        .press('5', Duration::from_millis(100))
        .expect("pressed");
    lines.run(500);
    assert_eq!(keys(&lines.phones[3], 101), []);
    let from = lines.now;
    lines.run(500);
    let (sound, whole) = lines.phones[0].sound(from);
    assert!(whole && sound.len() > 3_000 && level(&sound) < 30.0);
    let _third = bridge(&lines, 0, 1);
    lines.run(200);
    let from = lines.now;
    lines.run(500);
    assert!(strength(&lines.phones[0], from, 620.0) > 7_000.0);
    assert_one_stream(&lines.phones[0]);
}

#[test]
fn a_codec_may_change_while_they_talk() {
    let mut lines = Lines::new(vec![
        Phone::new(1, Codec::Pcmu).says(440.0),
        Phone::new(2, Codec::Pcmu).says(620.0),
    ]);
    let _bridge = bridge(&lines, 0, 1);
    lines.run(500);
    // The second is called with another codec from here on.
    let port = lines.phones[1].address;
    lines.phones[1].turn_to(Codec::G722, 9);
    lines.phones[1].say(620.0);
    assert_eq!(lines.phones[1].address, port);
    let media = lines.phones[1].media.clone();
    lines.legs[1]
        .set_remote(media, lines::policy())
        .expect("set");
    lines.run(300);
    let from = lines.now;
    lines.run(600);
    assert!(strength(&lines.phones[0], from, 620.0) > 7_000.0);
    assert!(strength(&lines.phones[1], from, 440.0) > 7_000.0);
    assert_one_stream(&lines.phones[0]);
}

#[test]
fn what_cannot_be_joined_is_refused() {
    let lines = Lines::new(vec![Phone::new(1, Codec::Pcmu)]);
    let legs = &lines.legs;
    let refused = lines.engine.bridge(&legs[0], &legs[0], BOTH);
    assert_eq!(refused.err().map(|error| error.code()), Some("bad_config"));
    lines.engine.close();
    let other = lines.engine.bridge(&legs[0], &legs[0], BOTH);
    assert_eq!(other.err().map(|error| error.code()), Some("closed"));
}
