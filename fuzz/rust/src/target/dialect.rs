//! Descriptions of dialects: what Python hands over, with anything wrong in it.
use crate::mutate::mutate;
use crate::random::Random;
use offhook_media::clock::Time;
use offhook_media::wire::{Dialect, Wire, WireConfig, WireLimits, parse_format, write_format};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Ours, as they are shipped.
pub const OURS: [&str; 2] = [
    include_str!("../../../../rust/media/src/wire/dialects/offhook.json"),
    include_str!("../../../../rust/media/src/wire/dialects/twilio.json"),
];

/// A description is refused with a place, or makes a wire that works.
pub fn run(random: &mut Random) {
    let seed = *random.pick(&OURS);
    let text = if random.once_in(3) {
        String::from_utf8_lossy(&mutate(
            seed.as_bytes(),
            &[b"\"", b"{", b"}", b"{x}", b"null"],
            random,
            20_000,
        ))
        .into_owned()
    } else {
        let mut tree: Value = serde_json::from_str(seed).expect("ours are JSON");
        for _ in 0..1 + random.below(3) {
            disturb(&mut tree, random);
        }
        tree.to_string()
    };
    match Dialect::parse(&text) {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(dialect) => use_it(dialect, random),
    }
    let format = mutate(
        b"pcm16/16000",
        &[b"/", b"pcma", b"8000", b"-1"],
        random,
        100,
    );
    if let Some(format) = parse_format(&String::from_utf8_lossy(&format)) {
        assert_eq!(parse_format(&write_format(&format)), Some(format));
    }
}

fn use_it(dialect: Dialect, random: &mut Random) {
    let formats = dialect.default_formats();
    assert!(formats.send.is_supported() && formats.receive.is_supported());
    let values = dialect
        .values()
        .iter()
        .map(|name| (name.clone(), "a \"b\" \\ \u{1}".into()))
        .collect();
    let config = WireConfig {
        dialect: Arc::new(dialect),
        values,
        formats,
        mask_seed: [1; 16],
        limits: WireLimits::default(),
    };
    let mut wire = Wire::new(config, Time::ZERO).expect("every value was given");
    wire.send_audio(Time::ZERO, &random.bytes(2_000));
    wire.mark_played("m");
    wire.send_digit('5', 100);
    wire.cleared(Default::default(), ["a", "b"]);
    wire.send_text("{}", true);
    let length = wire.outgoing().len();
    wire.sent(length);
}

/// Change one value somewhere in the tree.
fn disturb(tree: &mut Value, random: &mut Random) {
    let deeper = !random.once_in(4);
    match tree {
        Value::Object(fields) if deeper && !fields.is_empty() => {
            let at = random.below(fields.len());
            let key = fields.keys().nth(at).expect("counted").clone();
            match random.below(8) {
                0 => drop(fields.remove(&key)),
                1 => drop(fields.insert(format!("{key}s"), Value::Null)),
                _ => disturb(fields.get_mut(&key).expect("named"), random),
            }
        }
        Value::Array(items) if deeper && !items.is_empty() => {
            let at = random.below(items.len());
            match random.below(6) {
                0 => drop(items.remove(at)),
                1 => items.push(items[at].clone()),
                _ => disturb(&mut items[at], random),
            }
        }
        other => {
            let with = [
                Value::Null,
                json!(true),
                json!(0),
                json!(-1),
                json!(1u64 << 40),
                json!(""),
                json!("{name}"),
                json!("{payload}{payload}"),
                json!("x.y.z"),
                json!("pcm16/48000"),
                json!([]),
                json!(["pcma/8000", "pcm16/24000"]),
                json!({"$": "marks"}),
                json!({"$": "duration_ms"}),
                Value::Object(Map::new()),
                json!("\u{0}\"\\{"),
            ];
            *other = random.pick(&with).clone();
        }
    }
}
