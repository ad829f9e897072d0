use super::*;
use proptest::prelude::*;
use serde_json::Value;

fn paths() -> (Paths, Vec<(Vec<&'static str>, FieldId)>) {
    let mut paths = Paths::default();
    let wanted = [
        vec!["event"],
        vec!["media", "payload"],
        vec!["media", "track"],
        vec!["mark", "name"],
        vec!["a", "b", "c"],
    ];
    let ids = wanted
        .into_iter()
        .map(|path| (path.clone(), paths.add(path).unwrap()))
        .collect();
    (paths, ids)
}

/// What serde_json's tree has at a path, in our words.
fn agrees(field: Field<'_>, value: Option<&Value>) -> bool {
    match (field, value) {
        (Field::Missing, None) | (Field::Null, Some(Value::Null)) => true,
        (Field::Compound(_), Some(Value::Array(_) | Value::Object(_))) => true,
        (Field::Bool(ours), Some(Value::Bool(theirs))) => ours == *theirs,
        (Field::Number(ours), Some(Value::Number(theirs))) => {
            // serde_json reads floats fast rather than to the last bit.
            let (ours, theirs): (f64, f64) = (ours.parse().unwrap(), theirs.as_f64().unwrap());
            (ours - theirs).abs() <= ours.abs() * 1e-12
        }
        (Field::Str(ours), Some(Value::String(theirs))) => {
            ours.equals(theirs) && ours.text(&mut String::new()) == theirs
        }
        _ => false,
    }
}

fn compare_with_serde(text: &str) {
    let (paths, wanted) = paths();
    match (paths.scan(text), serde_json::from_str::<Value>(text)) {
        (Ok(fields), Ok(tree)) => {
            for (path, id) in wanted {
                let theirs = path
                    .iter()
                    .try_fold(&tree, |value, key| value.as_object()?.get(*key));
                assert!(
                    agrees(fields[id], theirs),
                    "{path:?} of {text}: {:?} and {theirs:?}",
                    fields[id]
                );
            }
        }
        (Err(_), Err(_)) => {}
        // The one thing that we let pass is a number too great for a float, which nobody reads.
        (Ok(_), Err(error)) => assert!(
            error.to_string().contains("out of range"),
            "{text}: only serde_json refuses: {error}"
        ),
        (Err(error), Ok(_)) => assert_eq!(
            error.problem,
            Problem::TooDeep,
            "{text}: only we refuse: {error}"
        ),
    }
}

#[test]
fn fields_are_found_in_any_order_and_with_any_spacing() {
    let (paths, wanted) = paths();
    let text = " {\n\"media\" : {\"extra\":[1,{\"payload\":2}], \"payload\":\"AA\\/A\"},\t\"\\u0065vent\":\"med\\u0069a\" } ";
    let fields = paths.scan(text).unwrap();
    let Field::Str(event) = fields[wanted[0].1] else {
        panic!("event is a string")
    };
    assert!(event.equals("media") && event.plain().is_none());
    let Field::Str(payload) = fields[wanted[1].1] else {
        panic!("payload is a string")
    };
    assert_eq!(payload.text(&mut String::new()), "AA/A");
    assert_eq!(fields[wanted[2].1], Field::Missing);
}

#[test]
fn a_key_that_comes_twice_counts_as_it_came_last() {
    for text in [
        r#"{"event":"a","event":"b"}"#,
        r#"{"media":{"payload":"x","track":"t"},"media":{"payload":"y"}}"#,
        r#"{"media":{"payload":"x"},"media":5}"#,
        r#"{"a":{"b":{"c":1}},"a":{"b":{}}}"#,
    ] {
        compare_with_serde(text);
    }
}

#[test]
fn odd_texts_are_judged_as_serde_json_judges_them() {
    for text in [
        "",
        " ",
        "{",
        "}",
        "[",
        "[]",
        "[1,]",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "{a:1}",
        "\"",
        "\"\\",
        "\"\\u12\"",
        "\"\\ud800\"",
        "\"\\ud800\\u0041\"",
        "\"\\udc00\"",
        "\"\\ud83d\\ude00\"",
        "\"\n\"",
        "01",
        "-",
        "-0",
        "1.",
        "1.e1",
        ".5",
        "1e",
        "1e+",
        "1E-5",
        "tru",
        "true",
        "truex",
        "nul",
        "null null",
        "[true,false,null]",
        "\u{feff}{}",
        "{\"event\":\"\u{0}\"}",
        "1e999",
        "NaN",
    ] {
        compare_with_serde(text);
    }
}

#[test]
fn nesting_is_bounded() {
    let (paths, _) = paths();
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(paths.scan(&nested(MAX_DEPTH)).is_ok());
    let error = paths.scan(&nested(MAX_DEPTH + 1)).unwrap_err();
    assert_eq!(
        error,
        JsonError {
            offset: MAX_DEPTH,
            problem: Problem::TooDeep
        }
    );
    assert!(paths.scan(&"[".repeat(1_000_000)).is_err());
}

#[test]
fn there_is_a_limit_of_fields() {
    let mut paths = Paths::default();
    let names: Vec<String> = (0..=MAX_FIELDS)
        .map(|number| format!("f{number}"))
        .collect();
    assert!(
        names[..MAX_FIELDS]
            .iter()
            .all(|name| paths.add([name.as_str()]).is_some())
    );
    assert_eq!(paths.add([names[MAX_FIELDS].as_str()]), None);
    assert_eq!(paths.add(["f3"]), Some(FieldId(3)));
}

fn json() -> impl Strategy<Value = Value> {
    let key = prop_oneof![
        Just("event".to_owned()),
        Just("media".to_owned()),
        Just("payload".to_owned()),
        Just("mark".to_owned()),
        Just("name".to_owned()),
        Just("a".to_owned()),
        Just("b".to_owned()),
        Just("c".to_owned()),
        "\\PC{0,6}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e9_f64..1e9).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..6)
                .prop_map(|entries| entries.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn it_reads_what_serde_json_writes(value in json(), pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let (paths, _) = paths();
        prop_assert!(paths.scan(&text).is_ok());
        compare_with_serde(&text);
    }

    #[test]
    fn damaged_json_is_judged_as_serde_json_judges_it(value in json(), at: prop::sample::Index, byte in "[\\x00-\\x7f]") {
        let mut text: Vec<char> = serde_json::to_string(&value).unwrap().chars().collect();
        let at = at.index(text.len());
        text.splice(at..=at, byte.chars());
        compare_with_serde(&text.into_iter().collect::<String>());
    }

    #[test]
    fn token_soup_is_judged_as_serde_json_judges_it(
        tokens in prop::collection::vec(prop_oneof![
            Just("{"), Just("}"), Just("["), Just("]"), Just(","), Just(":"), Just("\"event\""), Just("\"media\""),
            Just("\"payload\""), Just("\"\\u0065vent\""), Just("1"), Just("-0.5e3"), Just("true"), Just("null"), Just(" "), Just("\""), Just("\\"),
        ], 0..24),
    ) {
        compare_with_serde(&tokens.concat());
    }

    #[test]
    fn what_is_escaped_reads_back(text: String) {
        let mut out = b"\"".to_vec();
        escape_into(&text, &mut out);
        out.push(b'"');
        let back: String = serde_json::from_slice(&out).unwrap();
        prop_assert_eq!(back, text);
    }

    #[test]
    fn the_plain_prefix_ends_at_the_first_special_byte(bytes in prop::collection::vec(any::<u8>(), 0..40), quiet: bool) {
        let bytes: Vec<u8> = if quiet { bytes.into_iter().map(|byte| byte | 0x80).collect() } else { bytes };
        let expected = bytes.iter().position(|&b| b == b'"' || b == b'\\' || b < 0x20).unwrap_or(bytes.len());
        prop_assert_eq!(plain_prefix(&bytes), expected);
    }
}
