use super::*;
use crate::telephone_event::Keyed;
use std::time::Duration;

fn made(keys: &str, rate: u32, lasts: usize, gap: usize) -> Vec<i16> {
    let per_ms = rate as usize / 1_000;
    let mut maker = ToneMaker::default();
    let mut sound = vec![0; 100 * per_ms];
    for key in keys.chars() {
        let digit = Digit::from_char(key).expect("a key");
        for at in (0..lasts).step_by(20) {
            let frame = sound.len();
            sound.resize(frame + 20.min(lasts - at) * per_ms, 0);
            maker.make(digit, rate, at == 0, at + 20 >= lasts, &mut sound[frame..]);
        }
        sound.resize(sound.len() + gap * per_ms, 0);
    }
    sound
}

fn heard(sound: &[i16], rate: u32, frame_ms: usize) -> Vec<Keyed> {
    let mut detector = ToneDetector::default();
    let mut keyed = Vec::new();
    for frame in sound.chunks(frame_ms * rate as usize / 1_000) {
        detector.hear(frame, rate, false, |press| keyed.push(press));
    }
    keyed
}

fn keys(keyed: &[Keyed]) -> String {
    keyed.iter().map(|press| press.digit.as_char()).collect()
}

#[test]
fn each_key_has_its_row_and_column() {
    assert_eq!(tones_of(Digit::from_char('1').unwrap()), Some((697, 1_209)));
    assert_eq!(tones_of(Digit::from_char('0').unwrap()), Some((941, 1_336)));
    assert_eq!(tones_of(Digit::from_char('D').unwrap()), Some((941, 1_633)));
    assert_eq!(tones_of(Digit::from_char('!').unwrap()), None);
}

#[test]
fn what_is_made_is_heard_at_each_rate_and_packet_length() {
    for rate in [8_000, 16_000] {
        for frame_ms in [10, 20, 30, 60] {
            let keyed = heard(&made("0123456789*#ABCD", rate, 80, 60), rate, frame_ms);
            assert_eq!(keys(&keyed), "0123456789*#ABCD", "{rate} Hz, {frame_ms} ms");
        }
    }
}

#[test]
fn the_same_key_pressed_fast_is_so_many_presses() {
    assert_eq!(
        keys(&heard(&made("5555", 8_000, 45, 40), 8_000, 20)),
        "5555"
    );
}

#[test]
fn a_press_lasts_as_long_as_it_sounds() {
    for lasts in [60, 200, 3_000] {
        let keyed = heard(&made("7", 8_000, lasts, 100), 8_000, 20);
        let off = keyed[0]
            .duration
            .abs_diff(Duration::from_millis(lasts as u64));
        assert!(off <= Duration::from_millis(20), "{lasts} ms: {keyed:?}");
    }
}

#[test]
fn one_tone_alone_is_no_key() {
    let sound: Vec<i16> = (0..8_000)
        .map(|n| (8_000.0 * (n as f32 * 697.0 / 8_000.0 * std::f32::consts::TAU).sin()) as i16)
        .collect();
    assert_eq!(heard(&sound, 8_000, 20), []);
}

#[test]
fn what_was_made_in_place_of_a_lost_packet_neither_ends_nor_doubles_a_press() {
    let sound = made("4", 8_000, 200, 100);
    let mut detector = ToneDetector::default();
    let mut keyed = Vec::new();
    for (number, frame) in sound.chunks(160).enumerate() {
        let lost = number == 9;
        let silence = [0; 160];
        let frame = if lost { &silence[..frame.len()] } else { frame };
        detector.hear(frame, 8_000, lost, |press| keyed.push(press));
    }
    assert_eq!(keys(&keyed), "4");
}

#[test]
fn a_key_that_is_held_is_told_when_it_is_let_go() {
    let sound = made("9", 8_000, 400, 0);
    let mut detector = ToneDetector::default();
    let likeness = detector.hear(&sound, 8_000, false, |_| panic!("it is still held"));
    assert_eq!((likeness, detector.is_pressed()), (Likeness::Tone, true));
    let mut ended = 0;
    detector.hear(&[0; 800], 8_000, false, |_| ended += 1);
    assert_eq!((ended, detector.is_pressed()), (1, false));
}

#[test]
fn a_flash_has_no_tone() {
    let mut frame = [7; 160];
    let flash = Digit::from_char('!').expect("a key");
    ToneMaker::default().make(flash, 8_000, true, true, &mut frame);
    assert_eq!(frame, [0; 160]);
}
