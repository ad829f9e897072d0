use super::*;
use crate::clock::Time;
use proptest::prelude::*;

/// Plays (milliseconds, timestamp, code, end, duration) to a receiver and returns what was keyed.
fn keyed(packets: &[(u64, u32, u8, bool, u16)]) -> Vec<(char, u64)> {
    let mut receiver = EventReceiver::new(8_000);
    let mut out = Vec::new();
    let mut told = |keyed: Option<Keyed>| {
        out.extend(keyed.map(|k| (k.digit.as_char(), k.duration.as_millis() as u64)))
    };
    let mut last = Time::ZERO;
    for &(at, timestamp, code, end, duration) in packets {
        last = Time::from_millis(1_000 + at);
        told(receiver.handle_timeout(last));
        for ended in receiver.receive(
            last,
            timestamp,
            Event {
                code,
                end,
                volume: 10,
                duration,
            },
        ) {
            told(ended);
        }
    }
    told(receiver.handle_timeout(last + Duration::from_secs(1)));
    assert_eq!(receiver.handle_timeout(last + Duration::from_secs(9)), None);
    out
}

#[test]
fn three_end_packets_are_one_digit() {
    let packets = [
        (0, 0, 7, false, 160),
        (20, 0, 7, false, 320),
        (40, 0, 7, true, 480),
        (40, 0, 7, true, 480),
        (41, 0, 7, true, 480),
    ];
    assert_eq!(keyed(&packets), [('7', 60)]);
}

#[test]
fn the_same_digit_three_times_is_three_digits() {
    let mut packets = Vec::new();
    for n in 0..3u32 {
        let at = u64::from(n) * 100;
        packets.push((at, n * 800, 5, false, 160));
        packets.extend([(at + 40, n * 800, 5, true, 400); 3]);
    }
    assert_eq!(keyed(&packets), [('5', 50); 3]);
}

/// livekit/sip#585: digits were lost where no packet had the marker bit.
#[test]
fn a_lost_start_does_not_lose_the_digit() {
    assert_eq!(keyed(&[(40, 0, 11, true, 480)]), [('#', 60)]);
}

#[test]
fn a_lost_end_ends_with_the_next_digit_or_with_silence() {
    let packets = [
        (0, 0, 1, false, 160),
        (20, 0, 1, false, 320),
        (100, 800, 1, false, 160),
        (120, 800, 1, false, 320),
    ];
    assert_eq!(keyed(&packets), [('1', 40), ('1', 40)]);
    assert_eq!(
        keyed(&[(0, 0, 1, false, 160), (500, 4_000, 2, true, 400)]),
        [('1', 20), ('2', 50)]
    );
}

#[test]
fn stragglers_of_the_digit_before_are_no_new_digit() {
    let packets = [
        (0, 0, 1, false, 160),
        (20, 0, 1, true, 320),
        (60, 800, 2, false, 160),
        (61, 0, 1, true, 320),
        (80, 800, 2, true, 320),
    ];
    assert_eq!(keyed(&packets), [('1', 40), ('2', 40)]);
}

#[test]
fn updates_that_overtake_each_other_keep_the_longest() {
    let packets = [
        (0, 0, 1, false, 480),
        (1, 0, 1, false, 160),
        (2, 0, 1, true, 320),
    ];
    assert_eq!(keyed(&packets), [('1', 60)]);
}

#[test]
fn a_long_event_goes_on_in_segments() {
    let second = 0xffff;
    let packets = [
        (0, 0, 9, false, 160),
        (150, 0, 9, false, 0xffff),
        (300, second, 9, false, 160),
        (400, second, 9, true, 8_000),
    ];
    assert_eq!(keyed(&packets), [('9', (65_535 + 8_000) / 8)]);
}

#[test]
fn the_longest_duration_of_one_packet_is_one_digit() {
    assert_eq!(
        keyed(&[
            (0, 0, 3, false, 65_535),
            (100, 0, 3, true, 65_535),
            (120, 0, 3, true, 65_535)
        ]),
        [('3', 8_191)]
    );
}

#[test]
fn tones_are_no_digits_but_a_flash_is() {
    assert_eq!(
        keyed(&[
            (0, 0, 200, true, 800),
            (50, 800, 66, true, 800),
            (100, 1_600, 17, true, 800)
        ]),
        []
    );
    assert_eq!(keyed(&[(0, 0, 16, true, 800)]), [('!', 100)]);
}

#[test]
fn timestamps_may_wrap_between_digits() {
    assert_eq!(
        keyed(&[(0, u32::MAX - 100, 1, true, 400), (100, 700, 2, true, 400)]),
        [('1', 50), ('2', 50)]
    );
}

/// All packets of a sender up to idleness.
fn sent(digits: &str, step: u32) -> Vec<(u32, EventPacket)> {
    let mut sender = EventSender::new(8_000);
    for key in digits.chars() {
        let digit = Digit::from_char(key).expect("a key");
        assert!(sender.push(Key::of(digit)));
    }
    let mut timestamp = u32::MAX - 1_000;
    let mut out = Vec::new();
    while sender.is_busy() {
        if let Tick::Packet(packet) = sender.tick(timestamp, step) {
            out.push((timestamp, packet));
        }
        timestamp = timestamp.wrapping_add(step);
    }
    out
}

#[test]
fn a_digit_grows_by_a_tick_and_ends_three_times() {
    let packets = sent("5", 160);
    let durations: Vec<(u16, bool)> = packets
        .iter()
        .map(|(_, packet)| (packet.event.duration, packet.event.end))
        .collect();
    assert_eq!(durations[..2], [(160, false), (320, false)]);
    assert_eq!(
        durations[7..],
        [(1_280, true), (1_280, true), (1_280, true)]
    );
    assert!(
        packets
            .iter()
            .all(|(_, packet)| packet.timestamp == packets[0].0)
    );
    assert_eq!(
        packets.iter().filter(|(_, packet)| packet.marker).count(),
        1
    );
}

#[test]
fn digits_are_at_least_the_gap_apart() {
    for step in [80, 160, 240, 480] {
        let packets = sent("11", step);
        let first_end = packets[0].1.timestamp.wrapping_add(u32::from(
            packets
                .iter()
                .find(|p| p.1.event.end)
                .expect("ends")
                .1
                .event
                .duration,
        ));
        let second = packets
            .iter()
            .filter(|p| p.1.marker)
            .nth(1)
            .expect("two digits")
            .1
            .timestamp;
        assert!(second.wrapping_sub(first_end) >= 640, "step {step}");
    }
}

#[test]
fn what_we_send_is_what_we_hear() {
    for step in [80, 160, 480] {
        let packets: Vec<(u64, u32, u8, bool, u16)> = sent("0559*#A!", step)
            .into_iter()
            .map(|(at, p)| {
                (
                    u64::from(at.wrapping_add(1_001) / 8),
                    p.timestamp,
                    p.event.code,
                    p.event.end,
                    p.event.duration,
                )
            })
            .collect();
        let heard: String = keyed(&packets).into_iter().map(|(key, _)| key).collect();
        assert_eq!(heard, "0559*#A!");
    }
}

#[test]
fn too_many_digits_are_refused() {
    let mut sender = EventSender::new(8_000);
    let key = Key::of(Digit::from_char('1').expect("a key"));
    assert!((0..MAX_DIGITS).all(|_| sender.push(key)));
    assert!(!sender.push(key));
}

#[test]
fn segments_that_are_cut_at_whole_packets_are_one_event() {
    let packets = [
        (0, 0, 9, false, 160),
        (8_180, 0, 9, false, 65_440),
        (8_200, 65_440, 9, false, 160),
        (8_350, 65_440, 9, true, 8_000),
    ];
    assert_eq!(
        keyed(&packets[1..]),
        [('9', (65_440 + 8_000) / 8)],
        "without the start, too"
    );
}

#[test]
fn a_sender_whose_clock_stands_still_loses_no_digit() {
    let mut packets = Vec::new();
    for (n, key) in [(0, 4), (1, 2), (2, 2)] {
        packets.push((n * 500, 7_000, key, false, 160));
        packets.extend([(n * 500 + 100, 7_000, key, true, 800); 3]);
    }
    assert_eq!(keyed(&packets), [('4', 100), ('2', 100), ('2', 100)]);
}

#[test]
fn late_updates_of_a_digit_that_was_given_up_are_that_digit() {
    let packets = [
        (0, 0, 6, false, 160),
        (400, 0, 6, false, 3_200),
        (401, 0, 6, true, 3_200),
        (800, 0, 6, true, 3_200),
    ];
    assert_eq!(keyed(&packets), [('6', 20)]);
}

#[test]
fn a_digit_waits_for_its_place_and_lasts_as_asked() {
    let mut sender = EventSender::new(8_000);
    let key = Key {
        timing: KeyTiming {
            lasts: Duration::from_millis(400),
            gap: Duration::from_millis(200),
        },
        after: 7,
        ..Key::of(Digit::from_char('8').expect("a key"))
    };
    assert!(sender.push(key) && sender.push(key));
    assert!(!sender.is_due(6) && sender.is_due(7));
    let ticks: Vec<Tick> = (0..30).map(|n| sender.tick(n * 160, 160)).collect();
    let ends = |tick: &Tick| matches!(tick, Tick::Packet(packet) if packet.event.end);
    assert_eq!(ticks.iter().position(ends), Some(19));
    assert!(ticks[22..].iter().all(|tick| *tick == Tick::Gap));
    assert!(matches!(sender.tick(30 * 160, 160), Tick::Packet(packet) if packet.marker));
}

proptest! {
    #[test]
    fn payloads_survive_the_wire(code: u8, end: bool, volume in 0u8..64, duration: u16) {
        let event = Event { code, end, volume, duration };
        prop_assert_eq!(Event::decode(&event.encode()), Some(event));
    }

    #[test]
    fn no_payload_panics_and_no_packet_makes_more_than_two_digits(
        packets in proptest::collection::vec((0u64..400, any::<u32>(), any::<[u8; 4]>()), 0..60)
    ) {
        let mut receiver = EventReceiver::new(8_000);
        let mut now = Time::ZERO;
        for (pause, timestamp, payload) in packets {
            now += Duration::from_millis(pause);
            receiver.handle_timeout(now);
            receiver.receive(now, timestamp, Event::decode(&payload).expect("four bytes"));
        }
    }
}
