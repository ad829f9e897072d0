//! Agents that have connected by themselves, many calls on one connection.

use super::*;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use crate::wire::record::{self, Kind};
use crate::wire::websocket::{Decoder, Message};

/// The records that a worker is sent, as (kind, call, payload).
fn records_of(worker: &mut TcpStream, decoder: &mut Decoder) -> Vec<(Option<Kind>, u32, Vec<u8>)> {
    let mut buffer = [0; 4096];
    let count = worker.read(&mut buffer).expect("the connection lives");
    let (mut input, mut found) = (&buffer[..count], Vec::new());
    while let Some(message) = decoder.receive(&mut input).expect("frames of a server") {
        if let Message::Binary(mut records) = message {
            while let Some(record) = record::read(&mut records) {
                found.push((record.kind, record.call, record.payload.to_vec()));
            }
        }
    }
    found
}

#[test]
fn an_agent_that_may_only_speak_hears_the_caller_from_the_answer_on() {
    let engine = engine(13_320, 13_323);
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let mut worker = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
    worker
        .set_read_timeout(Some(Duration::from_secs(5)))
        .expect("set");
    let (ours, _) = listener.accept().expect("accepted");
    let mux = engine
        .open_mux(ours.as_raw_fd(), b"101", 0)
        .expect("taken over");
    drop(ours);
    worker.read_exact(&mut [0; 3]).expect("the answer");
    let mut peer = Peer::new(7);
    let leg = echo(&engine, &peer, policy());
    let settings = CallSettings {
        dialect: include_str!("../../wire/dialects/offhook.json").to_owned(),
        format: "pcmu/8000".to_owned(),
        credit_ms: None,
        send_limit: 32_768,
        text_limit: 1 << 20,
    };
    let wire = engine.open_call(&settings, &mux, &leg).expect("a call");
    wait_for(&engine, "connected");
    leg.connect(Some(&wire), true).expect("of one thread");
    peer.say(leg.local_address());
    // What the leg sends back proves that it has heard.
    peer.hear();
    wire.send_text("{}", false).expect("taken");
    leg.connect(Some(&wire), false).expect("of one thread");
    let (mut decoder, mut records) = (Decoder::new(1 << 20), Vec::new());
    until("the agent hears the caller", || {
        peer.say(leg.local_address());
        records.extend(records_of(&mut worker, &mut decoder));
        records.last().map(|(kind, _, _)| *kind) == Some(Some(Kind::Audio))
    });
    let first = records
        .iter()
        .position(|(kind, _, _)| *kind == Some(Kind::Audio));
    let text = records
        .iter()
        .position(|record| *record == (Some(Kind::Control), 1, b"{}".to_vec()));
    assert!(
        text < first,
        "no sound came before the answer: {:?}",
        records.len()
    );
}

#[test]
fn a_panic_in_one_call_of_a_worker_ends_that_call_only_and_the_worker_is_told() {
    let engine = engine(13_330, 13_333);
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let mut worker = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
    worker
        .set_read_timeout(Some(Duration::from_secs(5)))
        .expect("set");
    let (ours, _) = listener.accept().expect("accepted");
    let mux = engine
        .open_mux(ours.as_raw_fd(), b"101", 0)
        .expect("taken over");
    // Whoever had it before closes its own end, which ends nothing.
    drop(ours);
    let mut answer = [0; 3];
    worker.read_exact(&mut answer).expect("the answer");
    assert_eq!(&answer, b"101");
    let mut peers: Vec<Peer> = (1..=2).map(Peer::new).collect();
    let legs: Vec<LegHandle> = peers
        .iter()
        .map(|peer| echo(&engine, peer, policy()))
        .collect();
    let settings = CallSettings {
        dialect: include_str!("../../wire/dialects/offhook.json").to_owned(),
        format: "pcmu/8000".to_owned(),
        credit_ms: None,
        send_limit: 32_768,
        text_limit: 1 << 20,
    };
    let wires: Vec<WireHandle> = legs
        .iter()
        .map(|leg| {
            let wire = engine.open_call(&settings, &mux, leg).expect("a call");
            wait_for(&engine, "connected");
            leg.connect(Some(&wire), false).expect("of one thread");
            wire
        })
        .collect();
    legs[0].send(LegCommand::Panic).expect("taken");
    let event = wait_for(&engine, "internal_error");
    assert_eq!(event.subject, Subject::Leg(legs[0].id()));
    let (mut decoder, mut records) = (Decoder::new(1 << 20), Vec::new());
    until("the worker is told", || {
        records.extend(records_of(&mut worker, &mut decoder));
        let mut told = records.iter();
        told.any(|(kind, call, _)| (*kind, *call) == (Some(Kind::Close), 1))
    });
    wires[1].send_text("{}", false).expect("taken");
    peers[1].say(legs[1].local_address());
    let said = (Some(Kind::Audio), 2, [2, !2].repeat(80));
    until("the other call goes on", || {
        records.extend(records_of(&mut worker, &mut decoder));
        records.contains(&said) && records.contains(&(Some(Kind::Control), 2, b"{}".to_vec()))
    });
    let stats = engine.stats();
    assert_eq!((stats.legs, stats.wires, stats.muxes), (1, 1, 1));
    drop(worker);
    until("the connection is gone", || engine.stats().muxes == 0);
    let ended: Vec<Subject> = engine
        .drain_events(100)
        .into_iter()
        .filter(|event| event.what.kind() == "closed")
        .map(|event| event.subject)
        .collect();
    assert_eq!(
        ended,
        [Subject::Wire(wires[1].id()), Subject::Mux(mux.id())]
    );
}
