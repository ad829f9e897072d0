//! Which places packets get in the stream of the other line.
use super::{Place, Relay};
use crate::clock::Time;
use crate::codec::Codec;
use crate::shelf::{Content, Queued};
use std::time::Duration;

/// Where packets of 20 ms with these numbers and timestamps go, so many milliseconds after the beginning.
fn places(packets: impl IntoIterator<Item = (u64, u16, u32)>) -> Vec<Place> {
    places_from((0, 0), packets)
}

/// The same of a stream whose counters stand there at its beginning.
fn places_from(
    first: (u16, u32),
    packets: impl IntoIterator<Item = (u64, u16, u32)>,
) -> Vec<Place> {
    let start = Time::from_nanos(1_000_000_000);
    let mut relay = Relay::new(start, Codec::Opus, first, 7_000, 160);
    let mut place = |(ms, sequence, timestamp): (u64, u16, u32)| {
        let packet = Queued {
            sequence: first.0.wrapping_add(sequence),
            timestamp: first.1.wrapping_add(timestamp),
            marker: false,
            content: Content::Sound(Codec::Opus),
            payload: &[0; 40],
            missing: 0,
        };
        relay.place(start + Duration::from_millis(ms), &packet, 160)
    };
    packets.into_iter().map(&mut place).collect()
}

fn leapt(places: &[Place]) -> usize {
    places
        .iter()
        .filter(|&&place| place == Place::Leapt)
        .count()
}

#[test]
fn a_stream_in_time_goes_on_for_ever() {
    let hour = (0..180_000u32).map(|n| (20 * u64::from(n), n as u16, 160 * n));
    assert_eq!(leapt(&places(hour)), 0);
}

#[test]
fn places_do_not_depend_on_where_the_counters_stand() {
    // Some late, some lost, some far off.
    let mut packets: Vec<(u64, u16, u32)> = (0..2_000u32)
        .filter(|n| n % 31 != 7)
        .map(|n| {
            let late = if n % 17 == 3 { 45 } else { 0 };
            let leap = if n % 501 == 500 { 0x8000_0000 } else { 0 };
            (
                u64::from(20 * n + late),
                n as u16,
                (160 * n).wrapping_add(leap),
            )
        })
        .collect();
    packets.sort_by_key(|&(ms, ..)| ms);
    let usual = places(packets.clone());
    assert!(
        leapt(&usual) > 0
            && usual
                .iter()
                .any(|place| matches!(place, Place::Behind { .. }))
    );
    for before in [1, 500, 1_999] {
        for (sequence, timestamp) in [(0u16, 0u32), (0x8000, 0x8000_0000)] {
            let first = (
                sequence.wrapping_sub(before),
                timestamp.wrapping_sub(160 * u32::from(before)),
            );
            assert_eq!(places_from(first, packets.clone()), usual);
        }
    }
}

#[test]
fn a_clock_that_is_a_little_faster_than_ours_goes_on_for_ever() {
    // 300 ppm: an hour is a second longer there.
    let hour = (0..180_000u32).map(|n| (u64::from(n) * 19_994 / 1_000, n as u16, 160 * n));
    assert_eq!(leapt(&places(hour)), 0);
}

#[test]
fn what_the_way_held_up_is_handed_on_at_once() {
    let burst = (0..100u32).map(|n| {
        let ms = if (50..75).contains(&n) { 1_500 } else { 20 * n };
        (u64::from(ms), n as u16, 160 * n)
    });
    assert_eq!(leapt(&places(burst)), 0);
}

#[test]
fn a_flood_is_not_handed_on() {
    // 5,000 a second, each of which says that it lasts 20 ms.
    let flood = places((0..1_000u32).map(|n| (u64::from(n) / 5, n as u16, 160 * n)));
    assert!(leapt(&flood) >= 980, "{} of 1,000", leapt(&flood));
    // The same, with timestamps that keep to the time.
    let flood = places((0..1_000u32).map(|n| (u64::from(n) / 5, n as u16, 8 * n / 5)));
    assert!(leapt(&flood) >= 980, "{} of 1,000", leapt(&flood));
}

#[test]
fn more_than_a_hundred_packets_a_second_are_another_stream() {
    let quick = places((0..200u32).map(|n| (5 * u64::from(n), n as u16, 40 * n)));
    assert!(leapt(&quick) >= 190, "{} of 200", leapt(&quick));
}

#[test]
fn what_is_missing_and_what_is_late_keep_their_numbers() {
    let found = places([
        (0, 0, 0),
        (20, 1, 160),
        (60, 3, 480),
        (61, 2, 320),
        (80, 4, 640),
    ]);
    let next = |sequence, step, missing| Place::Next {
        sequence,
        step,
        missing,
    };
    assert_eq!(
        found,
        [
            next(7_000, 160, 0),
            next(7_001, 160, 0),
            next(7_003, 320, 160),
            Place::Behind {
                sequence: 7_002,
                before: 160
            },
            next(7_004, 160, 0),
        ]
    );
}
