//! Slow readers, floods and silence.

use super::*;

#[test]
fn a_slow_reader_loses_the_oldest_audio_but_no_control_message() {
    let limits = WireLimits {
        max_outgoing_audio: 4_000,
        ..WireLimits::default()
    };
    let mut pair = Pair::new(OFFHOOK, "pcm16/8000", limits);
    pair.wire.mark_played("first");
    for number in 0..100_u8 {
        pair.wire.send_audio(pair.now, &[number; 320]);
        if number == 50 {
            pair.wire.mark_played("middle");
        }
        pair.pass(20);
    }
    let got = pair.read();
    assert_eq!(got[0], Got::Json(json!({"type": "mark", "name": "first"})));
    assert_eq!(got[1], Got::Json(json!({"type": "mark", "name": "middle"})));
    let audio: Vec<u8> = got[2..]
        .iter()
        .map(|got| {
            if let Got::Binary(bytes) = got {
                bytes[0]
            } else {
                panic!("{got:?}")
            }
        })
        .collect();
    assert_eq!(audio, (88..100).collect::<Vec<u8>>());
    assert_eq!(
        (
            pair.count("sent_dropped_messages"),
            pair.count("sent_dropped_us")
        ),
        (88, 88 * 20_000)
    );
    assert_eq!(pair.count("sent_audio_us"), 2_000_000);
    assert_eq!(pair.timeout(), [], "it has caught up");
}

#[test]
fn a_reader_that_never_catches_up_is_too_slow() {
    let limits = WireLimits {
        max_outgoing_audio: 4_000,
        stall: Duration::from_secs(3),
        ping_interval: None,
        ..WireLimits::default()
    };
    let mut pair = Pair::new(OFFHOOK, "pcm16/8000", limits);
    let began = pair.now;
    let mut said = Vec::new();
    while said.is_empty() {
        pair.wire.send_audio(pair.now, &[0; 320]);
        // It reads a little, but never all.
        pair.wire.sent(pair.wire.outgoing().len().min(100));
        if pair.wire.next_timeout().is_some_and(|at| at <= pair.now) {
            said = pair.timeout();
        }
        pair.pass(20);
    }
    assert!(matches!(
        said[..],
        [Said::Closed {
            cause: CloseCause::TooSlow,
            status: 1008,
            clean: false,
            ..
        }]
    ));
    let took = pair.now - began;
    assert!(
        (Duration::from_millis(3_200)..Duration::from_millis(3_600)).contains(&took),
        "{took:?}"
    );
}

#[test]
fn control_messages_that_nobody_reads_end_the_wire() {
    let limits = WireLimits {
        max_outgoing_control: 10_000,
        ..WireLimits::default()
    };
    let mut pair = Pair::new(OFFHOOK, "", limits);
    let mut count = 0;
    while pair.wire.next_timeout().is_none_or(|at| at > pair.now) {
        pair.wire.mark_played("mark");
        count += 1;
        assert!(count < 1_000, "the queue is bounded");
    }
    assert!(matches!(
        pair.timeout()[..],
        [Said::Closed {
            cause: CloseCause::TooSlow,
            ..
        }]
    ));
}

#[test]
fn a_flood_of_messages_is_counted_and_ends_the_wire() {
    let limits = WireLimits {
        burst_frames: 100,
        frames_per_second: 10,
        max_flood: 5,
        ..WireLimits::default()
    };
    let mut pair = Pair::new(OFFHOOK, "", limits);
    let mark = json!({"type": "mark", "name": "m"});
    assert!((0..105).all(|_| pair.json(mark.clone()) == [Said::Mark("m".into())]));
    assert_eq!(pair.count("received_flood"), 5);
    let said = pair.json(mark);
    assert!(matches!(
        said.last(),
        Some(Said::Closed {
            cause: CloseCause::Flood,
            status: 1008,
            ..
        })
    ));
}

#[test]
fn a_flood_of_empty_fragments_counts_too() {
    let limits = WireLimits {
        burst_frames: 100,
        frames_per_second: 10,
        max_flood: 2,
        ..WireLimits::default()
    };
    let mut pair = Pair::new(OFFHOOK, "", limits);
    pair.bytes(&[0x01, 0x00]);
    let last = (0..200).flat_map(|_| pair.bytes(&[0x00, 0x00])).last();
    assert!(matches!(
        last,
        Some(Said::Closed {
            cause: CloseCause::Flood,
            ..
        })
    ));
}

#[test]
fn audio_too_far_ahead_is_dropped_and_then_a_flood() {
    let limits = WireLimits {
        max_ahead: Duration::from_secs(2),
        max_flood: 3,
        ..WireLimits::default()
    };
    let mut pair = Pair::new(OFFHOOK, "pcm16/8000", limits);
    let second = vec![0; 16_000];
    assert_eq!(
        (
            pair.binary(&second).len(),
            pair.binary(&second).len(),
            pair.binary(&second).len()
        ),
        (1, 1, 0)
    );
    assert_eq!(pair.count("received_dropped_us"), 1_000_000);
    pair.pass(1_000);
    assert_eq!(pair.binary(&second).len(), 1, "real time has caught up");
    assert_eq!(pair.binary(&second).len(), 0);
    pair.json(json!({"type": "clear"}));
    assert_eq!(
        pair.binary(&second).len(),
        1,
        "what was cleared is not ahead any more"
    );
    assert_eq!(
        (pair.binary(&second).len(), pair.binary(&second).len()),
        (1, 0)
    );
    assert!(matches!(
        pair.binary(&second)[..],
        [Said::Closed {
            cause: CloseCause::Flood,
            ..
        }]
    ));
}

// Pings and the end

#[test]
fn a_silent_agent_is_pinged_and_given_up() {
    let mut pair = Pair::offhook();
    assert_eq!(
        pair.wire.next_timeout(),
        Some(pair.now + Duration::from_secs(20))
    );
    pair.pass(20_000);
    assert_eq!(pair.timeout(), []);
    assert_eq!(pair.read(), [Got::Ping]);
    pair.pass(15_000);
    assert_eq!(pair.frame(0x8A, b""), []);
    assert_eq!(pair.count("received_pongs"), 1);
    pair.pass(5_000);
    pair.timeout();
    assert_eq!(pair.read(), [Got::Ping]);
    pair.pass(20_000);
    assert!(matches!(
        pair.timeout()[..],
        [Said::Closed {
            cause: CloseCause::Silent,
            status: 1011,
            ..
        }]
    ));
}

#[test]
fn pings_are_answered_the_last_one_at_least() {
    let mut pair = Pair::offhook();
    pair.bytes(&[0x89, 1, b'a', 0x89, 1, b'b']);
    assert_eq!(pair.read(), [Got::Pong(b"b".into())]);
}
