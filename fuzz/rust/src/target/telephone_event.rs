//! Key presses: packets lost, doubled and late, and events that no telephone sends.
use crate::random::Random;
use offhook_media::clock::Time;
use offhook_media::telephone_event::{Digit, Event, EventReceiver, EventSender, Key, Tick};
use std::collections::HashSet;
use std::time::Duration;

const RATE: u32 = 8_000;

/// A digit is told at most once, in order; a noisy stream never tells more digits than it had timestamps.
pub fn run(random: &mut Random) {
    if random.once_in(2) {
        keyed(random)
    } else {
        noise(random)
    }
    sent(random);
}

/// Proper keys over a bad line.
fn keyed(random: &mut Random) {
    let mut receiver = EventReceiver::new(RATE);
    let mut now = Time::from_millis(5);
    let mut timestamp = random.next() as u32;
    let mut told = String::new();
    let mut keyed = String::new();
    for _ in 0..random.below(12) {
        let digit = Digit::from_event(random.below(16) as u8).expect("sixteen keys");
        let packets = 1 + random.below(10);
        let mut arrived = false;
        let mut stream = Vec::new();
        for number in 1..=packets + 2 {
            let event = Event {
                code: digit.event(),
                end: number >= packets,
                volume: 10,
                duration: (number.min(packets) * 160) as u16,
            };
            for _ in 0..*random.pick(&[0, 1, 1, 1, 1, 2]) {
                stream.push(event);
            }
        }
        if stream.len() > 1 && random.once_in(3) {
            let at = random.below(stream.len() - 1);
            stream.swap(at, at + 1);
        }
        for event in stream {
            arrived = true;
            now += Duration::from_millis(20);
            for keyed in receiver
                .receive(now, timestamp, event)
                .into_iter()
                .flatten()
            {
                told.push(keyed.digit.as_char());
            }
        }
        if arrived {
            keyed.push(digit.as_char());
        }
        timestamp = timestamp.wrapping_add((packets as u32 + 3 + random.below(50) as u32) * 160);
        now += Duration::from_millis(random.below(400) as u64);
        told.extend(
            receiver
                .handle_timeout(now)
                .map(|keyed| keyed.digit.as_char()),
        );
    }
    now += Duration::from_secs(1);
    told.extend(
        receiver
            .handle_timeout(now)
            .map(|keyed| keyed.digit.as_char()),
    );
    assert_eq!(told, keyed, "told against keyed");
    assert_eq!(receiver.next_timeout(), None);
}

/// Anything at all.
fn noise(random: &mut Random) {
    let mut receiver = EventReceiver::new(RATE);
    let mut now = Time::ZERO;
    let mut timestamps = HashSet::new();
    let mut told = 0;
    let around = random.next() as u32;
    for _ in 0..200 {
        let length = random.below(9);
        let payload = random.bytes(length);
        now += Duration::from_millis(*random.pick(&[0, 0, 1, 20, 300, 5_000]));
        if let Some(event) = Event::decode(&payload) {
            assert_eq!(event.encode()[2..], payload[2..4]);
            let timestamp = around.wrapping_add((random.below(5) * 0xffff) as u32);
            timestamps.insert((timestamp, event.code, now));
            told += receiver
                .receive(now, timestamp, event)
                .into_iter()
                .flatten()
                .count();
        }
        told += receiver.handle_timeout(now).iter().count();
        assert!(
            receiver.next_timeout().is_none_or(|at| at > now),
            "a timeout that was due stands"
        );
    }
    assert!(
        told <= timestamps.len(),
        "{told} digits of {} packets",
        timestamps.len()
    );
}

/// What our sender makes of any digits comes back as those digits.
fn sent(random: &mut Random) {
    let mut sender = EventSender::new(RATE);
    let mut receiver = EventReceiver::new(RATE);
    let digits: Vec<_> = (0..random.below(8))
        .map(|_| Digit::from_event(random.below(16) as u8).expect("a key"))
        .collect();
    for &digit in &digits {
        assert!(sender.push(Key::of(digit)), "few digits find room");
    }
    let (mut now, mut timestamp, mut told) = (Time::ZERO, random.next() as u32, Vec::new());
    let step = *random.pick(&[80, 160, 240, 480]);
    for _ in 0..10_000 {
        if !sender.is_busy() {
            break;
        }
        timestamp = timestamp.wrapping_add(step);
        now += Duration::from_micros(u64::from(step) * 125);
        if let Tick::Packet(packet) = sender.tick(timestamp, step) {
            let event = Event::decode(&packet.event.encode()).expect("what we write");
            told.extend(
                receiver
                    .receive(now, packet.timestamp, event)
                    .into_iter()
                    .flatten()
                    .map(|keyed| keyed.digit),
            );
        }
    }
    assert!(!sender.is_busy(), "keying ends");
    assert_eq!(told, digits);
}
