//! What is said both ways, in the dialects that we bring along.

use super::*;

#[test]
fn caller_audio_reaches_a_twilio_bot_in_numbered_messages() {
    let mut pair = Pair::twilio();
    pair.wire.send_text(r#"{"event":"connected"}"#, false);
    pair.wire.send_text(
        r#"{"event":"start","sequenceNumber":"{sequence}","from":"{sequence}"}"#,
        true,
    );
    pair.wire.send_audio(pair.now, &[0xFF; 160]);
    pair.wire.send_audio(pair.now, &[0x00; 160]);
    let got = pair.read_json();
    assert_eq!(got[0], json!({"event": "connected"}));
    assert_eq!(
        got[1],
        json!({"event": "start", "sequenceNumber": "1", "from": "{sequence}"})
    );
    assert_eq!(got[2]["sequenceNumber"], "2");
    assert_eq!(
        got[3],
        json!({"event": "media", "sequenceNumber": "3", "streamSid": "the \"stream_sid\"",
        "media": {"track": "inbound", "chunk": "2", "timestamp": "20", "payload": BASE64.encode([0; 160])}})
    );
}

#[test]
fn audio_of_any_cut_leaves_in_messages_of_20_ms() {
    let mut pair = Pair::twilio();
    let audio: Vec<u8> = (0..=255).cycle().take(1_600).collect();
    for piece in audio.chunks(73) {
        pair.wire.send_audio(pair.now, piece);
    }
    let mut heard = Vec::new();
    for (index, message) in pair.read_json().iter().enumerate() {
        assert_eq!(message["media"]["timestamp"], (index * 20).to_string());
        let payload = BASE64
            .decode(message["media"]["payload"].as_str().unwrap())
            .unwrap();
        assert_eq!(payload.len(), 160);
        heard.extend(payload);
    }
    assert_eq!(heard, audio);
}

#[test]
fn a_twilio_bots_audio_marks_and_clear_are_done_in_the_order_in_which_they_came() {
    let mut pair = Pair::twilio();
    pair.sink.queued = vec!["one", "tw\"o"];
    let mut bytes = Vec::new();
    for message in [
        json!({"event": "media", "streamSid": "x", "media": {"payload": BASE64.encode([1, 2, 3])}}),
        json!({"streamSid": "x", "mark": {"name": "snow ☃"}, "event": "mark"}),
        json!({"event": "clear", "streamSid": "x"}),
        json!({"event": "media", "media": {"payload": ""}}),
        json!({"event": "hello", "media": {"payload": "AAAA"}}),
    ] {
        let text = message.to_string();
        bytes.extend([0x81, text.len() as u8]);
        bytes.extend(text.bytes());
    }
    let said = pair.bytes(&bytes);
    assert_eq!(
        said[..3],
        [
            Said::Audio(vec![1, 2, 3]),
            Said::Mark("snow ☃".into()),
            Said::Clear
        ]
    );
    assert!(matches!(&said[3..], [Said::Text(text)] if text.contains("hello")));
    let echoed: Vec<String> = pair
        .read_json()
        .iter()
        .map(|got| got["mark"]["name"].as_str().unwrap().into())
        .collect();
    assert_eq!(
        echoed,
        ["one", "tw\"o"],
        "Twilio echoes the marks that a clear dropped"
    );
}

#[test]
fn played_marks_and_digits_are_told_to_a_twilio_bot() {
    let mut pair = Pair::twilio();
    pair.wire.mark_played("greeting");
    pair.wire.send_digit('#', 120);
    assert_eq!(
        pair.read_json(),
        [
            json!({"event": "mark", "sequenceNumber": "1", "streamSid": "the \"stream_sid\"", "mark": {"name": "greeting"}}),
            json!({"event": "dtmf", "sequenceNumber": "2", "streamSid": "the \"stream_sid\"",
            "dtmf": {"track": "inbound_track", "digit": "#"}}),
        ]
    );
}

#[test]
fn base64_is_read_with_escaped_slashes_line_ends_and_without_padding() {
    let mut pair = Pair::twilio();
    let audio = Said::Audio(vec![0xFF, 0xFF, 0xFE, 0xFF]);
    for payload in [
        "///+/w==",
        r"\/\/\/+\/w==",
        "///+/w",
        r"///+\r\n/w==\n",
        r"\u002f//+/w=",
    ] {
        let said = pair.text(&format!(
            r#"{{"event":"media","media":{{"payload":"{payload}"}}}}"#
        ));
        assert_eq!(said, std::slice::from_ref(&audio), "{payload}");
    }
    for payload in ["*", "AAAAA", "A=AA", "AA==AA==", "é"] {
        let said = pair.json(json!({"event": "media", "media": {"payload": payload}}));
        assert_eq!(said, [Said::Garbage(Garbage::NotBase64)], "{payload}");
    }
}

// offhook

#[test]
fn an_offhook_agent_gets_binary_audio_and_json_control() {
    let mut pair = Pair::offhook();
    pair.wire.send_audio(pair.now, &[5; 640]);
    pair.wire.send_digit('5', 160);
    pair.wire.send_speech(true, Duration::from_millis(15));
    pair.wire.mark_played("m");
    pair.sink.queued = vec!["a", "b"];
    assert_eq!(pair.json(json!({"type": "clear"})), [Said::Clear]);
    let got = pair.read();
    assert_eq!(
        got,
        [
            Got::Binary(vec![5; 640]),
            Got::Json(json!({"type": "dtmf", "digit": "5", "duration_ms": 160, "at_ms": 20})),
            Got::Json(json!({"type": "speech_started", "since_ms": 5, "at_ms": 20})),
            Got::Json(json!({"type": "mark", "name": "m"})),
            Got::Json(
                json!({"type": "cleared", "played_ms": 1250, "dropped_ms": 480, "marks": ["a", "b"]})
            ),
        ]
    );
}

#[test]
fn an_agent_names_its_utterances_and_is_told_what_was_heard_of_them() {
    let mut pair = Pair::offhook();
    let said = pair.json(json!({"type": "utterance", "id": "u1", "text": "one \"two\"", "barge_in": "clear", "word_ends_ms": [ 200, 450 ]}));
    let utterance = Utterance {
        id: "u1".into(),
        text: "one \"two\"".into(),
        word_ends_ms: vec![200, 450],
        policy: Some(Policy::Clear),
    };
    assert_eq!(said, [Said::Utterance(utterance)]);
    let said = pair.json(json!({"type": "utterance", "id": "u2"}));
    let utterance = Utterance {
        id: "u2".into(),
        ..Utterance::default()
    };
    assert_eq!(said, [Said::Utterance(utterance)]);
    assert_eq!(
        pair.json(json!({"type": "utterance_end"})),
        [Said::UtteranceEnd]
    );
    pair.wire.send_audio(pair.now, &[5; 640]);
    let cut = Cut {
        id: "u1".into(),
        played_ms: 210,
        text: "one".into(),
        unheard: vec!["u2".into(), "\"".into()],
    };
    pair.wire.interrupted(&Interruption {
        cut: &cut,
        dropped_ms: 3_000,
        by: By::Caller,
        ago: Duration::from_millis(12),
    });
    pair.wire
        .spoken_over(SpokenOver::BargeIn, "u1", Duration::ZERO);
    pair.wire
        .spoken_over(SpokenOver::Backchannel, "", Duration::from_secs(9));
    pair.sink.cut = Some(Cut {
        unheard: vec!["u3".into()],
        ..Cut::default()
    });
    assert_eq!(pair.json(json!({"type": "clear"})), [Said::Clear]);
    let got = pair.read();
    let interrupted = |utterance: &str,
                       played: u64,
                       dropped: u64,
                       text: &str,
                       by: &str,
                       since: u64,
                       unheard: serde_json::Value| {
        Got::Json(
            json!({"type": "interrupted", "utterance": utterance, "played_ms": played, "dropped_ms": dropped, "text_heard": text,
            "by": by, "since_ms": since, "at_ms": 20, "unheard": unheard}),
        )
    };
    assert_eq!(
        got[1..],
        [
            interrupted("u1", 210, 3_000, "one", "caller", 8, json!(["u2", "\""])),
            Got::Json(json!({"type": "barge_in", "utterance": "u1", "since_ms": 20, "at_ms": 20})),
            Got::Json(json!({"type": "backchannel", "utterance": "", "since_ms": 0, "at_ms": 20})),
            Got::Json(
                json!({"type": "cleared", "played_ms": 1250, "dropped_ms": 480, "marks": []})
            ),
            interrupted("", 0, 480, "", "agent", 20, json!(["u3"])),
        ]
    );
}

#[test]
fn an_utterance_that_makes_no_sense_is_told() {
    let mut pair = Pair::offhook();
    for wrong in [
        json!({"type": "utterance"}),
        json!({"type": "utterance", "id": ""}),
        json!({"type": "utterance", "id": 7}),
        json!({"type": "utterance", "id": "a", "text": ["one"]}),
        json!({"type": "utterance", "id": "a", "barge_in": "maybe"}),
        json!({"type": "utterance", "id": "a", "word_ends_ms": "1"}),
        json!({"type": "utterance", "id": "a", "word_ends_ms": [2, 1]}),
        json!({"type": "utterance", "id": "a", "word_ends_ms": [-1]}),
        json!({"type": "utterance", "id": "a", "word_ends_ms": {"a": 1}}),
        json!({"type": "utterance", "id": "a".repeat(65)}),
        json!({"type": "utterance", "id": "a", "text": "a".repeat(4_097)}),
    ] {
        let said = pair.json(wrong.clone());
        assert!(matches!(said[..], [Said::Garbage(_)]), "{wrong} {said:?}");
    }
}

#[test]
fn speech_is_told_behind_the_audio_it_was_found_in() {
    let mut pair = Pair::offhook();
    pair.wire.send_audio(pair.now, &[5; 640 + 320]);
    pair.wire.send_speech(true, Duration::from_millis(25));
    pair.wire.send_audio(pair.now, &[5; 320]);
    // The agent came in the middle of it: nothing lies before its own first sample.
    pair.wire.send_speech(false, Duration::from_secs(3));
    let message = |kind: &str, since: u64, at: u64| {
        Got::Json(json!({"type": kind, "since_ms": since, "at_ms": at}))
    };
    assert_eq!(
        pair.read(),
        [
            Got::Binary(vec![5; 640]),
            message("speech_started", 5, 20),
            Got::Binary(vec![5; 640]),
            message("speech_ended", 0, 40),
        ]
    );
}

#[test]
fn twilio_is_told_nothing_of_speech() {
    let mut pair = Pair::twilio();
    pair.wire.send_speech(true, Duration::ZERO);
    assert_eq!(pair.read(), []);
}

#[test]
fn a_clear_of_ours_is_reported_like_the_agents_own() {
    let mut pair = Pair::offhook();
    pair.wire.cleared(
        Heard {
            played_ms: 20,
            dropped_ms: 0,
        },
        ["x\n"],
    );
    assert_eq!(
        pair.read_json(),
        [json!({"type": "cleared", "played_ms": 20, "dropped_ms": 0, "marks": ["x\n"]})]
    );
    pair.wire.cleared(Heard::default(), []);
    assert_eq!(
        pair.read_json(),
        [json!({"type": "cleared", "played_ms": 0, "dropped_ms": 0, "marks": []})]
    );
}

#[test]
fn ready_chooses_the_audio_before_the_next_message_is_read() {
    let pcm = |rate| AudioFormat {
        encoding: Encoding::Pcm16Le,
        rate,
    };
    let both = |format| {
        Said::Formats(Formats {
            send: format,
            receive: format,
        })
    };
    let mut pair = Pair::offhook();
    let ready = json!({"type": "ready", "audio": {"encoding": "pcm16", "rate": 24000}}).to_string();
    assert_eq!(
        pair.text(&ready),
        [both(pcm(24_000)), Said::Text(ready.clone())]
    );
    pair.wire.send_audio(pair.now, &[0; 960]);
    assert_eq!(pair.read(), [Got::Binary(vec![0; 960])]);
    assert_eq!(
        pair.json(json!({"type": "ready"})).len(),
        1,
        "what is not said stays"
    );
    assert_eq!(
        pair.json(json!({"type": "ready", "audio": {"rate": 8000}}))[0],
        both(pcm(8_000))
    );
    let pcmu = AudioFormat {
        encoding: Encoding::Pcmu,
        rate: 8_000,
    };
    assert_eq!(
        pair.json(json!({"type": "ready", "audio": {"encoding": "pcmu"}}))[0],
        both(pcmu)
    );
    assert_eq!(pair.wire.formats().send, pcmu);
}

#[test]
fn an_audio_format_that_nobody_speaks_is_told_to_both_sides() {
    for audio in [
        json!({"rate": 44100}),
        json!({"encoding": "opus"}),
        json!({"encoding": "pcmu", "rate": 16000}),
        json!({"encoding": "pcma"}),
        json!({"rate": 8000.5}),
        json!({"rate": -1}),
    ] {
        let mut pair = Pair::offhook();
        let ready = json!({"type": "ready", "audio": audio}).to_string();
        assert_eq!(
            pair.text(&ready),
            [
                Said::Text(ready.clone()),
                Said::Garbage(Garbage::UnknownFormat)
            ],
            "{ready}"
        );
        assert_eq!(pair.read_json()[0]["code"], "bad_format");
    }
}

#[test]
fn an_agent_hangs_up_after_its_last_word_unless_it_says_now() {
    let mut pair = Pair::offhook();
    for (message, after_playout) in [
        (json!({"type": "hangup"}), true),
        (
            json!({"type": "hangup", "now": false, "reason": "done"}),
            true,
        ),
        (json!({"now": true, "type": "hangup"}), false),
    ] {
        let said = pair.json(message.clone());
        assert_eq!(said[0], Said::HangUp { after_playout });
        assert_eq!(
            said[1],
            Said::Text(message.to_string()),
            "Python notes the reason"
        );
    }
    let said = pair.json(json!({"type": "hangup", "now": "yes"}));
    assert!(matches!(
        said[..],
        [Said::Text(_), Said::Garbage(Garbage::BadField(_))]
    ));
}

#[test]
fn an_agent_is_told_of_digits_that_cannot_be_sent() {
    let mut pair = Pair::offhook();
    pair.json(json!({"type": "dtmf", "digits": "D1"}));
    let told = pair.read_json();
    assert_eq!(told[0]["code"], "dtmf_not_sent");
}

#[test]
fn digits_of_the_agent_are_checked() {
    let mut pair = Pair::offhook();
    assert_eq!(
        pair.json(json!({"type": "dtmf", "digits": "12*#a"})),
        [Said::Dtmf("12*#A".into(), KeyTiming::default())]
    );
    let timing = KeyTiming {
        lasts: Duration::from_millis(400),
        gap: Duration::from_millis(40),
    };
    assert_eq!(
        pair.json(json!({"type": "dtmf", "digits": "1", "duration_ms": 400, "gap_ms": 40})),
        [Said::Dtmf("1".into(), timing)]
    );
    for wrong in [
        json!(39),
        json!(8_001),
        json!(-100),
        json!(50.5),
        json!("100"),
    ] {
        assert!(matches!(
            pair.json(json!({"type": "dtmf", "digits": "1", "duration_ms": wrong}))[..],
            [Said::Garbage(Garbage::BadField(_))]
        ));
        pair.read_json();
    }
    for digits in ["", "1,2", "１", &"1".repeat(65)] {
        assert_eq!(
            pair.json(json!({"type": "dtmf", "digits": digits})),
            [Said::Garbage(Garbage::NotDigits)]
        );
        assert_eq!(
            pair.read_json(),
            [
                json!({"type": "error", "code": "bad_digits", "message": Garbage::NotDigits.to_string()})
            ]
        );
    }
}

#[test]
fn samples_that_were_cut_in_half_are_joined_again() {
    let mut pair = Pair::offhook();
    assert_eq!(pair.binary(&[1, 2, 3]), [Said::Audio(vec![1, 2])]);
    assert_eq!(pair.binary(&[4]), [Said::Audio(vec![3, 4])]);
    assert_eq!(pair.binary(&[5]), []);
    assert_eq!(pair.binary(&[6, 7]), [Said::Audio(vec![5, 6])]);
    pair.json(json!({"type": "clear"}));
    assert_eq!(
        pair.binary(&[8, 9]),
        [Said::Audio(vec![8, 9])],
        "a clear drops the odd byte, too"
    );
}

// Dialects that are not shipped, but must be describable
