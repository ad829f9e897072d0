use super::*;

fn party(transport: &'static str) -> Party {
    Party {
        target: "127.0.0.1:5060".parse().unwrap(),
        local: "127.0.0.1:5090".parse().unwrap(),
        transport,
        to: "+100".into(),
        from: "+200".into(),
        run: 0xab,
    }
}

fn parsed(text: &str) -> Message {
    Message::parse(text.as_bytes()).unwrap()
}

fn answer(invite: &Message, status: u16) -> Message {
    let contact = "Contact: <sip:gw@127.0.0.1:5062>\r\nRecord-Route: <sip:p1;lr>\r\nRecord-Route: <sip:p2;lr>\r\n";
    let body = "v=0\r\nc=IN IP4 127.0.0.1\r\nm=audio 4000 RTP/AVP 0\r\n";
    let text = respond(invite, status, "X", contact, body);
    parsed(&text.replace(
        "To: <sip:+100@127.0.0.1:5060>",
        "To: <sip:+100@127.0.0.1:5060>;tag=far",
    ))
}

#[test]
fn a_call_is_answered_and_hung_up() {
    let (party, mut out) = (party("UDP"), Vec::new());
    let mut call = Call::new(&party, 3, "v=0\r\n".into());
    call.start(&party, 10, &mut out);
    let invite = parsed(&out.remove(0));
    assert_eq!(invite.start, "INVITE sip:+100@127.0.0.1:5060 SIP/2.0");
    assert_eq!(
        Call::index_of(&party, invite.header("Call-ID").unwrap()),
        Some(3)
    );
    assert_eq!(invite.body, "v=0\r\n");
    assert_eq!(
        call.receive_response(&party, &answer(&invite, 100), 20, &mut out),
        None
    );
    assert_eq!(
        call.receive_response(&party, &answer(&invite, 180), 30, &mut out),
        None
    );
    let event = call.receive_response(&party, &answer(&invite, 200), 40, &mut out);
    assert!(matches!(event, Some(Event::Answered(Some(audio))) if audio.address.port() == 4000));
    let ack = parsed(&out.remove(0));
    assert_eq!(ack.start, "ACK sip:gw@127.0.0.1:5062 SIP/2.0");
    assert_ne!(ack.branch(), invite.branch());
    assert_eq!(
        ack.headers("Route").collect::<Vec<_>>(),
        ["<sip:p2;lr>", "<sip:p1;lr>"]
    );
    // The answer comes again: so does the ACK.
    assert_eq!(
        call.receive_response(&party, &answer(&invite, 200), 45, &mut out),
        None
    );
    assert_eq!(parsed(&out.remove(0)).method(), Some("ACK"));
    assert_eq!(call.repeated, 1);
    call.hang_up(&party, 50, &mut out);
    let bye = parsed(&out.remove(0));
    assert_eq!(bye.cseq(), Some((2, "BYE")));
    assert!(bye.header("To").unwrap().ends_with("tag=far"));
    let done = parsed(&respond(&bye, 200, "OK", "", ""));
    assert_eq!(
        call.receive_response(&party, &done, 60, &mut out),
        Some(Event::HungUp)
    );
    let steps = call.steps;
    assert_eq!(
        (
            steps.trying,
            steps.ringing,
            steps.answered,
            steps.bye,
            steps.ended
        ),
        (20, 30, 40, 50, 60)
    );
    assert_eq!(call.next_timeout(), u64::MAX);
}

#[test]
fn a_refusal_is_acknowledged_in_its_own_transaction() {
    let (party, mut out) = (party("UDP"), Vec::new());
    let mut call = Call::new(&party, 0, "v=0\r\n".into());
    call.start(&party, 0, &mut out);
    let invite = parsed(&out.remove(0));
    let event = call.receive_response(&party, &answer(&invite, 503), 5, &mut out);
    assert_eq!(event, Some(Event::Refused(503)));
    let ack = parsed(&out.remove(0));
    assert_eq!((ack.method(), ack.branch()), (Some("ACK"), invite.branch()));
    assert!(ack.header("To").unwrap().ends_with("tag=far"));
}

#[test]
fn an_unheard_invite_is_repeated_until_64_t1() {
    let (party, mut out) = (party("UDP"), Vec::new());
    let mut call = Call::new(&party, 0, "v=0\r\n".into());
    call.start(&party, 0, &mut out);
    let mut sent = vec![0];
    let event = loop {
        let now = call.next_timeout();
        out.clear();
        if let Some(event) = call.handle_timeout(now, &mut out) {
            break event;
        }
        sent.push(now / 1_000_000);
    };
    assert_eq!(event, Event::TimedOut);
    assert_eq!(sent, [0, 500, 1_500, 3_500, 7_500, 15_500, 31_500]);
}

#[test]
fn over_tcp_nothing_is_repeated() {
    let (party, mut out) = (party("TCP"), Vec::new());
    let mut call = Call::new(&party, 0, "v=0\r\n".into());
    call.start(&party, 0, &mut out);
    assert_eq!(call.next_timeout(), GIVE_UP);
    assert!(out[0].contains("SIP/2.0/TCP") && out[0].contains(";transport=tcp>"));
}

#[test]
fn the_far_end_is_answered_once_and_the_same_again() {
    let (party, mut out) = (party("UDP"), Vec::new());
    let mut call = Call::new(&party, 0, "v=0\r\n".into());
    call.start(&party, 0, &mut out);
    let invite = parsed(&out.remove(0));
    call.receive_response(&party, &answer(&invite, 200), 5, &mut out);
    out.clear();
    let reinvite = parsed(
        "INVITE sip:x SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKq\r\nFrom: a\r\nTo: b\r\nCall-ID: c\r\nCSeq: 9 INVITE\r\n\r\n\
         v=0\r\nc=IN IP4 127.0.0.1\r\nm=audio 6000 RTP/AVP 0\r\n",
    );
    let event = call.receive_request(&party, &reinvite, 6, &mut out);
    assert!(matches!(event, Some(Event::Reinvited(Some(audio))) if audio.address.port() == 6000));
    assert_eq!(call.receive_request(&party, &reinvite, 7, &mut out), None);
    assert_eq!(out[0], out[1]);
    assert!(out[0].starts_with("SIP/2.0 200 OK") && out[0].ends_with("v=0\r\n"));
    let bye =
        parsed("BYE sip:x SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKr\r\nCSeq: 10 BYE\r\n\r\n");
    assert_eq!(
        call.receive_request(&party, &bye, 8, &mut out),
        Some(Event::FarHungUp)
    );
    assert_eq!(call.phase, Phase::Ended);
}

#[test]
fn hanging_up_a_ringing_call_cancels_it_and_an_answer_that_crosses_is_hung_up() {
    let (party, mut out) = (party("UDP"), Vec::new());
    let mut call = Call::new(&party, 0, "v=0\r\n".into());
    call.start(&party, 0, &mut out);
    let invite = parsed(&out.remove(0));
    call.receive_response(&party, &answer(&invite, 180), 5, &mut out);
    call.hang_up(&party, 6, &mut out);
    let cancel = parsed(&out.remove(0));
    assert_eq!(
        (cancel.method(), cancel.branch()),
        (Some("CANCEL"), invite.branch())
    );
    call.receive_response(&party, &answer(&invite, 200), 7, &mut out);
    assert_eq!(parsed(&out[0]).method(), Some("ACK"));
    assert_eq!(parsed(&out[1]).method(), Some("BYE"));
}
