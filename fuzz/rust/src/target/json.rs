//! The JSON scanner against `serde_json`: the same texts are taken, the same fields are found.
use crate::mutate::mutate;
use crate::random::Random;
use offhook_media::wire::json::{Field, MAX_DEPTH, Paths, Problem, escape_into};
use serde_json::Value;

const SEEDS: [&str; 5] = [
    r#"{"event":"media","streamSid":"MZ1","media":{"payload":"//9/","chunk":"1","timestamp":-1.5e3}}"#,
    r#"{"type":"mark","name":"caf\u00e9 \ud83d\ude00 \"x\"","media":null,"event":["a",{"b":[true,false]}]}"#,
    r#" { "media" : { "payload" : 12 , "payload" : "late" } , "a" : {} , "b" : [] } "#,
    r#"{"event":{"media":{"payload":"deep"}},"me\u0064ia":{"p\u0061yload":"escaped"}}"#,
    r#"[0,-0,0.5,1E+9,"\b\f\n\r\t\/\\"]"#,
];
const WANTED: [&[&str]; 5] = [
    &["event"],
    &["media", "payload"],
    &["media"],
    &["name"],
    &["a", "b", "c"],
];

/// Agreement in every text, and escaped text that reads back.
pub fn run(random: &mut Random) {
    let noise = random.bytes(12);
    let plain = String::from_utf8_lossy(&noise);
    let mut escaped = vec![b'"'];
    escape_into(&plain, &mut escaped);
    escaped.push(b'"');
    assert_eq!(
        serde_json::from_slice::<String>(&escaped).as_deref().ok(),
        Some(&*plain),
        "escaped text"
    );

    let words: [&[u8]; 14] = [
        b"{",
        b"}",
        b"[",
        b"]",
        b"\"",
        b"\\",
        b",",
        b":",
        b"\\u",
        b"\\ud800",
        b"null",
        b"1e999",
        b"\x1f",
        b"\"media\":",
    ];
    let seed = *random.pick(&SEEDS);
    let bytes = mutate(seed.as_bytes(), &words, random, 20_000);
    let text = String::from_utf8_lossy(&bytes);
    let mut paths = Paths::default();
    let ids = WANTED.map(|path| paths.add(path.iter().copied()).expect("few paths"));
    let tree = serde_json::from_str::<Value>(&text);
    let fields = match (paths.scan(&text), &tree) {
        (Ok(fields), Ok(_)) => fields,
        (Err(_), Err(_)) => return,
        // Ours keeps numbers as they are written; only a tree's have an end.
        (Ok(_), Err(error)) if error.to_string().starts_with("number out of range") => return,
        (Err(error), Ok(_)) if error.problem == Problem::TooDeep => {
            let brackets = text
                .bytes()
                .filter(|byte| matches!(byte, b'[' | b'{'))
                .count();
            assert!(
                brackets > MAX_DEPTH,
                "{brackets} brackets are too deep: {text}"
            );
            return;
        }
        (ours, theirs) => panic!("{:?} against {theirs:?}: {text}", ours.map(drop)),
    };
    let tree = tree.expect("matched above");
    let mut scratch = String::new();
    for (path, id) in WANTED.iter().zip(ids) {
        // Keys of arrays are no paths of ours.
        let found = path
            .iter()
            .try_fold(&tree, |at, key| at.as_object()?.get(*key));
        let same = match (&fields[id], found) {
            (Field::Missing, None) | (Field::Null, Some(Value::Null)) => true,
            (Field::Bool(ours), Some(Value::Bool(theirs))) => ours == theirs,
            (Field::Number(ours), Some(Value::Number(theirs))) => {
                ours.parse::<f64>().ok() == theirs.as_f64()
            }
            (Field::Str(ours), Some(Value::String(theirs))) => {
                ours.equals(theirs)
                    && ours.text(&mut scratch) == theirs
                    && ours.plain().is_none_or(|plain| plain == theirs)
            }
            (Field::Compound(_), Some(Value::Object(_) | Value::Array(_))) => true,
            _ => false,
        };
        assert!(
            same,
            "{path:?}: {:?} against {found:?} in {text}",
            fields[id]
        );
    }
}
