//! How a wire ends, from either side.

use super::*;

#[test]
fn the_agents_close_is_answered_and_told_as_it_is() {
    for (code, reason) in [(1000, "bye"), (1001, ""), (1011, "crashed"), (4000, "own")] {
        let mut pair = Pair::twilio();
        pair.wire.send_audio(pair.now, &[0; 160]);
        let said = pair.frame(0x88, &close_frame(code, reason));
        assert_eq!(
            said,
            [Said::Closed {
                cause: CloseCause::Agent,
                status: code,
                reason: reason.into(),
                clean: true
            }]
        );
        assert_eq!(pair.read(), [Got::Close(code, String::new())]);
        pair.wire.handle_eof(&mut pair.sink);
        assert_eq!(pair.sink.said, []);
    }
    let said = Pair::twilio().frame(0x88, b"");
    assert_eq!(
        said,
        [Said::Closed {
            cause: CloseCause::Agent,
            status: 1005,
            reason: String::new(),
            clean: true
        }]
    );
}

#[test]
fn what_came_before_a_close_is_done_first() {
    let mut pair = Pair::offhook();
    let mut bytes = vec![0x82, 2, 1, 2, 0x88, 2];
    bytes.extend(1000_u16.to_be_bytes());
    bytes.extend([0x82, 2, 3, 4]);
    let said = pair.bytes(&bytes);
    assert_eq!(said[0], Said::Audio(vec![1, 2]));
    assert!(
        matches!(said[1..], [Said::Closed { status: 1000, .. }]),
        "and nothing after it"
    );
}

#[test]
fn a_connection_that_breaks_is_1006() {
    let mut pair = Pair::offhook();
    pair.wire.handle_eof(&mut pair.sink);
    let lost = Said::Closed {
        cause: CloseCause::Lost,
        status: 1006,
        reason: "the connection broke".into(),
        clean: false,
    };
    assert_eq!(pair.sink.said, [lost]);
    assert!(CloseCause::Lost.code().is_none());
}

#[test]
fn our_close_comes_after_what_is_queued_and_waits_for_the_answer() {
    let mut pair = Pair::offhook();
    pair.wire.send_audio(pair.now, &[1; 100]);
    pair.wire.send_text(r#"{"type":"end"}"#, false);
    pair.wire.close(pair.now, 1000, "call ended");
    pair.wire.send_text("too late", false);
    pair.wire.send_audio(pair.now, &[0; 640]);
    let got = pair.read();
    assert_eq!(got.len(), 3);
    assert_eq!(got[2], Got::Close(1000, "call ended".into()));
    assert_eq!(pair.binary(&[0; 640]), [], "what it still says has no ear");
    let said = pair.frame(0x88, &close_frame(1000, ""));
    let closed = |clean| Said::Closed {
        cause: CloseCause::Requested,
        status: 1000,
        reason: "call ended".into(),
        clean,
    };
    assert_eq!(said, [closed(true)]);
    assert_eq!(pair.read(), [], "one close each is enough");

    let mut pair = Pair::offhook();
    pair.wire.close(pair.now, 1000, "call ended");
    assert_eq!(
        pair.wire.next_timeout(),
        Some(pair.now + Duration::from_secs(2))
    );
    pair.pass(2_000);
    assert_eq!(pair.timeout(), [closed(false)]);

    let mut pair = Pair::offhook();
    pair.wire.close(pair.now, 1000, "call ended");
    assert_eq!(pair.read().len(), 1);
    assert_eq!(pair.frame(0xff, b"noise"), [closed(false)]);
    assert_eq!(pair.read(), [], "nothing follows our close");
}

// Whatever comes
