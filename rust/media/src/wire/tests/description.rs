//! A dialect is data: what can be described with it, and what is wrong with a description.

use super::*;

#[test]
fn plivo_openai_jambonz_and_elevenlabs_can_be_described_with_data_alone() {
    let plivo = json!({
        "name": "plivo", "values": ["stream_id"],
        "audio": {"framing": "base64", "formats": ["pcmu/8000", "pcm16/8000", "pcm16/16000"], "send_byte_order": "big", "receive_byte_order": "big"},
        "send": {
            "media": {"event": "media", "sequenceNumber": {"$": "sequence"}, "streamId": "{stream_id}",
                "media": {"track": "inbound", "timestamp": "{timestamp_ms}", "chunk": {"$": "chunk"}, "payload": "{payload}"}},
            "mark": {"event": "playedStream", "streamId": "{stream_id}", "name": "{name}"},
            "cleared": {"event": "clearedAudio", "streamId": "{stream_id}"},
            "dtmf": {"event": "dtmf", "streamId": "{stream_id}", "dtmf": {"track": "inbound", "digit": "{digit}", "timestamp": "{timestamp_ms}"}},
        },
        "receive": {"type": "event", "messages": {
            "playAudio": {"do": "audio", "payload": "media.payload"}, "checkpoint": {"do": "mark", "name": "name"},
            "clearAudio": {"do": "clear"}, "stop": {"do": "hang_up", "now": true},
        }},
    });
    let mut pair = Pair::new(&plivo.to_string(), "pcm16/16000", WireLimits::default());
    pair.wire.send_audio(pair.now, &[1, 2].repeat(320));
    let got = pair.read_json();
    assert_eq!(
        got[0]["media"]["payload"],
        BASE64.encode([2, 1].repeat(320)),
        "big-endian on the wire"
    );
    let said = pair.json(json!({"event": "playAudio", "media": {"contentType": "audio/x-l16", "payload": BASE64.encode([1, 2, 3])}}));
    assert_eq!(said, [Said::Audio(vec![2, 1])]);
    assert_eq!(
        pair.json(json!({"event": "stop", "streamId": "x"})),
        [Said::HangUp {
            after_playout: false
        }]
    );
    pair.sink.queued = vec!["never played"];
    pair.json(json!({"event": "clearAudio"}));
    assert_eq!(
        pair.read_json(),
        [json!({"event": "clearedAudio", "streamId": "the \"stream_id\""})]
    );

    let openai = json!({
        "name": "openai", "audio": {"framing": "base64", "formats": ["pcmu/8000", "pcm16/24000"]},
        "send": {"media": {"type": "input_audio_buffer.append", "audio": "{payload}"}},
        "receive": {"type": "type", "messages": {
            "response.output_audio.delta": {"do": "audio", "payload": "delta"},
            "input_audio_buffer.speech_started": {"do": "clear", "tell": true},
        }},
    });
    let mut pair = Pair::new(&openai.to_string(), "", WireLimits::default());
    pair.wire.send_audio(pair.now, &[0; 160]);
    assert_eq!(
        pair.read_json(),
        [json!({"type": "input_audio_buffer.append", "audio": BASE64.encode([0; 160])})]
    );
    assert_eq!(
        pair.json(json!({"type": "response.output_audio.delta", "delta": "AAAA"})),
        [Said::Audio(vec![0; 3])]
    );
    let started = json!({"type": "input_audio_buffer.speech_started", "item_id": "i"});
    assert_eq!(
        pair.json(started.clone()),
        [Said::Clear, Said::Text(started.to_string())]
    );

    let jambonz = json!({
        "name": "jambonz", "subprotocol": "audio.jambonz.org", "audio": {"framing": "binary", "formats": ["pcm16/8000"]},
        "send": {
            "mark": {"type": "mark", "data": {"name": "{name}", "event": "playout"}},
            "dropped_mark": {"type": "mark", "data": {"name": "{name}", "event": "cleared"}},
        },
        "receive": {"type": "type", "messages": {
            "killAudio": {"do": "clear"}, "mark": {"do": "mark", "name": "data.name"}, "disconnect": {"do": "hang_up", "now": true},
        }},
    });
    let mut pair = Pair::new(&jambonz.to_string(), "", WireLimits::default());
    assert_eq!(
        pair.json(json!({"type": "mark", "data": {"name": "n"}})),
        [Said::Mark("n".into())]
    );
    pair.sink.queued = vec!["n"];
    pair.json(json!({"type": "killAudio"}));
    assert_eq!(
        pair.read_json(),
        [json!({"type": "mark", "data": {"name": "n", "event": "cleared"}})]
    );

    let elevenlabs = json!({
        "name": "elevenlabs", "audio": {"framing": "base64", "formats": ["pcm16/16000"], "receive_formats": ["pcmu/8000"]},
        "send": {"media": {"user_audio_chunk": "{payload}"}},
        "receive": {"type": "type", "messages": {
            "audio": {"do": "audio", "payload": "audio_event.audio_base_64"}, "interruption": {"do": "clear", "tell": true},
        }},
    });
    let mut pair = Pair::new(&elevenlabs.to_string(), "", WireLimits::default());
    assert_eq!(
        pair.wire.formats().receive,
        AudioFormat {
            encoding: Encoding::Pcmu,
            rate: 8_000
        }
    );
    let said = pair
        .json(json!({"audio_event": {"event_id": 1, "audio_base_64": "AAA="}, "type": "audio"}));
    assert_eq!(said, [Said::Audio(vec![0; 2])]);
}

#[test]
fn a_wrong_description_names_the_place() {
    let wrong = |pointer: &str, value: Value| {
        let mut tree: Value = serde_json::from_str(TWILIO).unwrap();
        *tree.pointer_mut(pointer).unwrap() = value;
        let error = Dialect::parse(&tree.to_string()).unwrap_err();
        (error.path, error.message)
    };
    assert_eq!(wrong("/audio/framing", json!("opus")).0, "audio.framing");
    assert_eq!(
        wrong("/audio/formats", json!(["pcmu/16000"])).0,
        "audio.formats"
    );
    assert_eq!(wrong("/audio/frame_ms", json!(5)).0, "audio.frame_ms");
    assert_eq!(
        wrong("/send/mark/mark/name", json!("{payload}")).0,
        "send.mark.mark.name"
    );
    assert_eq!(
        wrong("/send/media/media/payload", json!("x")),
        ("send.media".into(), "has no place for {payload}".into())
    );
    assert_eq!(
        wrong("/receive/messages/media/payload", json!("a..b")).0,
        "receive.messages.media.payload"
    );
    assert_eq!(
        wrong("/receive/messages/clear", json!({"do": "flush"})).0,
        "receive.messages.clear.do"
    );
    assert_eq!(
        wrong("/receive/messages/clear", json!({"do": "clear", "now": 1})).0,
        "receive.messages.clear.now"
    );
    assert_eq!(
        wrong("/foreign/0/values", json!("x")).0,
        "foreign[0].values"
    );
    assert_eq!(wrong("/subprotocol", json!("a b")).0, "subprotocol");
    assert!(
        Dialect::parse("{")
            .unwrap_err()
            .to_string()
            .contains("not JSON")
    );
    let twilio = Dialect::parse(TWILIO).unwrap();
    let error = twilio.formats("pcm16/8000").unwrap_err().to_string();
    assert!(error.contains("it speaks pcmu/8000"), "{error}");
}

#[test]
fn a_wire_wants_the_values_of_its_dialect_and_no_others() {
    let dialect = Arc::new(Dialect::parse(TWILIO).unwrap());
    let open = |values: &[(&str, &str)]| {
        let values = values
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect();
        let (formats, limits) = (dialect.default_formats(), WireLimits::default());
        let config = WireConfig {
            dialect: Arc::clone(&dialect),
            values,
            formats,
            mask_seed: [0; 16],
            limits,
        };
        Wire::new(config, Time::ZERO)
            .map(|_| ())
            .map_err(|error| error.path)
    };
    assert_eq!(open(&[]), Err("values.stream_sid".into()));
    assert_eq!(
        open(&[("stream_sid", "MZ"), ("call_sid", "CA")]),
        Err("values.call_sid".into())
    );
    assert_eq!(open(&[("stream_sid", "MZ")]), Ok(()));
}

// An agent that speaks something else
