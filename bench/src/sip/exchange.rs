//! All calls of a run, over one transport or one for each call: places them, keeps their timers, counts what they came to.

use super::call::{Call, Event, Party, Phase, respond};
use super::message::Message;
use super::transport::Transport;
use crate::endpoint::Carrier;
use crate::histogram::Histogram;
use crate::sys::Epoll;
use rustls::ClientConfig;
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// What the calls' signalling came to.
#[derive(Default)]
pub struct Counts {
    /// Calls placed.
    pub placed: u64,
    /// Calls answered.
    pub answered: u64,
    /// Calls refused, by status.
    pub refused: BTreeMap<u16, u64>,
    /// Requests that were never answered.
    pub timed_out: u64,
    /// Calls that the far end hung up.
    pub far_hung_up: u64,
    /// Calls that we hung up, with an answer to our BYE.
    pub hung_up: u64,
    /// Offers of the far end in a call.
    pub reinvited: u64,
    /// OPTIONS outside of calls.
    pub options: u64,
    /// Messages that name none of our calls.
    pub unknown: u64,
    /// INVITE to 100.
    pub trying: Histogram,
    /// INVITE to 180 or 183.
    pub ringing: Histogram,
    /// INVITE to 200.
    pub setup: Histogram,
    /// BYE to its 200.
    pub teardown: Histogram,
}

impl Counts {
    /// Calls refused or never answered.
    pub fn failed(&self) -> u64 {
        self.refused.values().sum::<u64>() + self.timed_out
    }
}

/// How the target is reached.
pub struct Way {
    /// Over what.
    pub carrier: Carrier,
    /// Where it is.
    pub target: SocketAddr,
    /// Our own address.
    pub ip: IpAddr,
    /// What TLS trusts.
    pub tls: Option<Arc<ClientConfig>>,
}

impl Way {
    fn open(&self) -> io::Result<Transport> {
        match self.carrier {
            Carrier::Udp => Transport::udp(self.target, self.ip),
            Carrier::Tcp => Transport::connect(self.target, None),
            Carrier::Tls => Transport::connect(self.target, self.tls.as_ref()),
        }
    }
}

/// The calls and what carries them.
pub struct Exchange {
    /// What they share.
    pub party: Party,
    /// All calls placed, by number.
    pub calls: Vec<Call>,
    /// What they came to.
    pub counts: Counts,
    way: Way,
    /// One for all calls, or one for each call by its number while it lasts.
    transports: Vec<Option<Transport>>,
    a_call_each: bool,
    /// Calls' own connections that broke off.
    broken: u64,
    garbage: u64,
    timers: BinaryHeap<Reverse<(u64, u32)>>,
    outgoing: Vec<String>,
    incoming: Vec<(Message, u64)>,
    /// Distinguishes runs that go on at the same time.
    pub session: u64,
}

impl Exchange {
    /// Readies an exchange; nothing is sent yet.
    pub fn new(mut party: Party, way: Way, a_call_each: bool) -> io::Result<Self> {
        let session = party.run;
        let mut transports = Vec::new();
        if !a_call_each {
            let transport = way.open()?;
            party.local = transport.local;
            transports.push(Some(transport));
        }
        Ok(Self {
            party,
            calls: Vec::new(),
            counts: Counts::default(),
            way,
            transports,
            a_call_each,
            broken: 0,
            garbage: 0,
            timers: BinaryHeap::new(),
            outgoing: Vec::new(),
            incoming: Vec::new(),
            session,
        })
    }

    /// Adds the sockets opened so far to a set, the first as `token`, the next as the number after it.
    pub fn register(&self, epoll: &Epoll, token: u64) -> io::Result<()> {
        for (transport, token) in self.transports.iter().zip(token..) {
            if let Some(transport) = transport {
                transport.register(epoll, token)?;
            }
        }
        Ok(())
    }

    /// Opens the next call's own transport, if each has one, and adds it to the set as its call's number.
    pub fn connect(&mut self, epoll: &Epoll) -> io::Result<()> {
        if self.a_call_each {
            let transport = self.way.open()?;
            transport.register(epoll, self.transports.len() as u64)?;
            self.party.local = transport.local;
            self.transports.push(Some(transport));
        }
        Ok(())
    }

    fn carrier_of(&self, call: u32) -> usize {
        if self.a_call_each { call as usize } else { 0 }
    }

    /// Places a call with this offer and returns its number.
    pub fn place(&mut self, offer: String, now: u64) -> io::Result<u32> {
        let index = self.calls.len() as u32;
        let mut call = Call::new(&self.party, index, offer);
        call.start(&self.party, now, &mut self.outgoing);
        self.timers.push(Reverse((call.next_timeout(), index)));
        self.calls.push(call);
        self.counts.placed += 1;
        self.send(self.carrier_of(index))?;
        Ok(index)
    }

    /// Hangs a call up.
    pub fn hang_up(&mut self, index: u32, now: u64) -> io::Result<()> {
        let call = &mut self.calls[index as usize];
        call.hang_up(&self.party, now, &mut self.outgoing);
        if call.next_timeout() != u64::MAX {
            self.timers.push(Reverse((call.next_timeout(), index)));
        }
        self.send(self.carrier_of(index))
    }

    fn send(&mut self, which: usize) -> io::Result<()> {
        let Some(transport) = &mut self.transports[which] else {
            self.outgoing.clear();
            return Ok(());
        };
        let sent = self
            .outgoing
            .drain(..)
            .try_for_each(|text| transport.send(&text))
            .and_then(|()| transport.flush());
        self.survive(which, sent)
    }

    /// A call's own connection may break off, and its call stays open; without the only one there is nothing to go on with.
    fn survive(&mut self, which: usize, result: io::Result<()>) -> io::Result<()> {
        if result.is_ok() || !self.a_call_each {
            return result;
        }
        self.transports[which] = None;
        self.broken += 1;
        Ok(())
    }

    /// Reads what came; call it when the socket with this number is ready.
    pub fn receive(
        &mut self,
        which: usize,
        wall_offset: u64,
        events: &mut Vec<(u32, Event)>,
    ) -> io::Result<()> {
        let Some(transport) = &mut self.transports[which] else {
            return Ok(());
        };
        let mut incoming = std::mem::take(&mut self.incoming);
        let garbage = transport.garbage;
        let received = transport.receive(wall_offset, &mut incoming);
        self.garbage += transport.garbage - garbage;
        self.survive(which, received)?;
        for (message, at) in incoming.drain(..) {
            self.take(&message, at, events);
        }
        self.incoming = incoming;
        self.send(which)?;
        // A call's own connection ends with it.
        if self.a_call_each && self.calls[which].phase == Phase::Ended {
            self.transports[which] = None;
        }
        Ok(())
    }

    fn take(&mut self, message: &Message, at: u64, events: &mut Vec<(u32, Event)>) {
        let index = message
            .header("Call-ID")
            .and_then(|call_id| Call::index_of(&self.party, call_id));
        let Some(call) = index.and_then(|index| self.calls.get_mut(index as usize)) else {
            match message.method() {
                Some("OPTIONS") => {
                    self.counts.options += 1;
                    self.outgoing.push(respond(
                        message,
                        200,
                        "OK",
                        "Accept: application/sdp\r\n",
                        "",
                    ));
                }
                Some("ACK") => {}
                Some(_) => {
                    self.counts.unknown += 1;
                    self.outgoing
                        .push(respond(message, 481, "Call Does Not Exist", "", ""));
                }
                None => self.counts.unknown += 1,
            }
            return;
        };
        let event = if message.status().is_some() {
            call.receive_response(&self.party, message, at, &mut self.outgoing)
        } else {
            call.receive_request(&self.party, message, at, &mut self.outgoing)
        };
        if call.next_timeout() != u64::MAX {
            self.timers.push(Reverse((call.next_timeout(), call.index)));
        }
        if let Some(event) = event {
            self.counts.count(call, &event);
            events.push((call.index, event));
        }
    }

    /// Sends again what is due.
    pub fn handle_timeouts(&mut self, now: u64, events: &mut Vec<(u32, Event)>) -> io::Result<()> {
        while let Some(&Reverse((due, index))) = self.timers.peek() {
            if due > now {
                break;
            }
            self.timers.pop();
            let call = &mut self.calls[index as usize];
            if call.next_timeout() > now {
                continue;
            }
            let event = call.handle_timeout(now, &mut self.outgoing);
            if call.next_timeout() != u64::MAX {
                self.timers.push(Reverse((call.next_timeout(), index)));
            }
            if let Some(event) = event {
                self.counts.count(call, &event);
                events.push((index, event));
            }
            self.send(self.carrier_of(index))?;
        }
        // What a connection did not take before.
        if !self.a_call_each {
            self.send(0)?;
        }
        Ok(())
    }

    /// Calls that are not over yet.
    pub fn open(&self) -> usize {
        self.calls
            .iter()
            .filter(|call| call.phase != Phase::Ended)
            .count()
    }

    /// Everything counted.
    pub fn to_json(&self) -> Value {
        let counts = &self.counts;
        let refused: serde_json::Map<String, Value> = counts
            .refused
            .iter()
            .map(|(status, count)| (status.to_string(), json!(count)))
            .collect();
        json!({
            "placed": counts.placed,
            "answered": counts.answered,
            "refused": refused,
            "timed_out": counts.timed_out,
            "hung_up_by_us": counts.hung_up,
            "hung_up_by_far_end": counts.far_hung_up,
            "still_open": self.open(),
            "reinvited": counts.reinvited,
            "options": counts.options,
            "unknown_messages": counts.unknown,
            "garbage_messages": self.garbage,
            "connections_broken": self.broken,
            "requests_retransmitted": self.calls.iter().map(|call| u64::from(call.retransmitted)).sum::<u64>(),
            "finals_repeated_by_far_end": self.calls.iter().map(|call| u64::from(call.repeated)).sum::<u64>(),
            "invite_to_100": counts.trying.to_json(),
            "invite_to_180": counts.ringing.to_json(),
            "invite_to_200": counts.setup.to_json(),
            "bye_to_200": counts.teardown.to_json(),
        })
    }
}

impl Counts {
    fn count(&mut self, call: &Call, event: &Event) {
        let steps = &call.steps;
        if matches!(event, Event::Answered(_) | Event::Refused(_)) && steps.trying > 0 {
            self.trying
                .record(steps.trying.saturating_sub(steps.invite));
        }
        match event {
            Event::Answered(_) => {
                self.answered += 1;
                self.setup
                    .record(steps.answered.saturating_sub(steps.invite));
                if steps.ringing > 0 {
                    self.ringing
                        .record(steps.ringing.saturating_sub(steps.invite));
                }
            }
            Event::Refused(status) => *self.refused.entry(*status).or_default() += 1,
            Event::TimedOut => self.timed_out += 1,
            Event::HungUp => {
                self.hung_up += 1;
                self.teardown.record(steps.ended.saturating_sub(steps.bye));
            }
            Event::FarHungUp => self.far_hung_up += 1,
            Event::Reinvited(_) => self.reinvited += 1,
        }
    }
}
