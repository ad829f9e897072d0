//! An agent that speaks another dialect, or none.

use super::*;

#[test]
fn a_twilio_bot_on_our_own_wire_is_recognised_once() {
    let mut pair = Pair::offhook();
    let media = json!({"event": "media", "streamSid": "MZ1", "media": {"payload": "AAAA"}});
    assert_eq!(
        pair.json(media.clone()),
        [
            Said::WrongDialect("twilio".into()),
            Said::Text(media.to_string())
        ]
    );
    assert_eq!(pair.json(media.clone()), [Said::Text(media.to_string())]);
    let other = json!({"event": "media", "media": {"payload": "AAAA"}});
    assert_eq!(
        Pair::offhook().json(other),
        [Said::Garbage(Garbage::NoType)],
        "without streamSid it is somebody else"
    );
}

#[test]
fn an_offhook_agent_on_a_twilio_wire_is_recognised() {
    let mut pair = Pair::twilio();
    let ready = json!({"type": "ready"});
    assert_eq!(
        pair.json(ready.clone()),
        [
            Said::WrongDialect("offhook".into()),
            Said::Text(ready.to_string())
        ]
    );
    assert_eq!(
        pair.binary(&[0; 640]),
        [Said::Garbage(Garbage::UnexpectedBinary)]
    );
}

// Garbage, floods, slow readers

#[test]
fn garbage_is_counted_and_then_ends_the_wire() {
    for (garbage, status) in [
        ("not json", 1007),
        (r#"{"event":"media"}"#, 1008),
        (r#"["event"]"#, 1007),
    ] {
        let mut pair = Pair::twilio();
        for _ in 0..20 {
            assert!(matches!(pair.text(garbage)[..], [Said::Garbage(_)]));
        }
        assert_eq!(
            pair.read(),
            [],
            "a dialect without an error message says nothing"
        );
        let said = pair.text(garbage);
        let [
            Said::Closed {
                cause,
                status: told,
                clean,
                ..
            },
        ] = &said[..]
        else {
            panic!("{said:?}")
        };
        assert_eq!(
            (*cause, *told, *clean),
            (CloseCause::ProtocolError, status, false)
        );
        assert!(matches!(pair.read()[..], [Got::Close(code, _)] if code == status));
        assert_eq!(pair.count("received_garbage"), 21);
        assert!(pair.wire.is_closed() && pair.wire.next_timeout().is_none());
        assert_eq!(
            pair.text(r#"{"event":"clear"}"#),
            [],
            "nothing is taken after the end"
        );
    }
}

#[test]
fn a_message_without_a_type_is_garbage_only_where_the_protocol_is_ours() {
    let mut pair = Pair::offhook();
    for untyped in [r#"{"type":5}"#, r#"{"label":"ready"}"#] {
        assert!(matches!(
            pair.text(untyped)[..],
            [Said::Garbage(Garbage::NoType)]
        ));
        assert!(matches!(&pair.read()[..], [Got::Json(error)] if error["code"] == "no_type"));
    }
    let mut pair = Pair::twilio();
    assert!(matches!(
        pair.text(r#"{"label":"rtvi-ai","type":"bot-ready"}"#)[..],
        [Said::Text(_)]
    ));
}

#[test]
fn binary_garbage_closes_with_1003() {
    let mut pair = Pair::twilio();
    let last = (0..21).flat_map(|_| pair.binary(&[0; 3])).last();
    assert!(matches!(
        last,
        Some(Said::Closed {
            status: 1003,
            cause: CloseCause::ProtocolError,
            ..
        })
    ));
}

#[test]
fn a_broken_frame_ends_the_wire_at_once() {
    let mut pair = Pair::offhook();
    let said = pair.bytes(&[0x81, 0x02, 0xC3, 0x28]);
    assert!(matches!(
        said[..],
        [Said::Closed {
            status: 1007,
            cause: CloseCause::ProtocolError,
            ..
        }]
    ));
    let mut pair = Pair::offhook();
    let said = pair.bytes(&[0x82, 127, 0, 0, 0, 0, 0x10, 0, 0, 0]);
    assert!(matches!(
        said[..],
        [Said::Closed {
            status: 1009,
            cause: CloseCause::ProtocolError,
            ..
        }]
    ));
    assert!(matches!(&pair.read()[..], [Got::Close(1009, reason)] if reason.contains("limit")));
}

#[test]
fn long_names_and_long_texts_are_garbage() {
    let mut pair = Pair::offhook();
    assert_eq!(
        pair.json(json!({"type": "mark", "name": "n".repeat(256)})),
        [Said::Mark("n".repeat(256))]
    );
    let said = pair.json(json!({"type": "mark", "name": "n".repeat(257)}));
    assert_eq!(
        said,
        [Said::Garbage(Garbage::TooLong("the name of a mark"))]
    );
    let said = pair.json(json!({"type": "note", "text": "n".repeat(70_000)}));
    assert_eq!(said, [Said::Garbage(Garbage::TooLong("a text message"))]);
}
