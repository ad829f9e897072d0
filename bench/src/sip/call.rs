//! One call placed by us, without sockets: INVITE, ACK, BYE, CANCEL, and answers to what the far end asks within it.

#[cfg(test)]
mod tests;

use super::message::Message;
use crate::sdp::Audio;
use std::net::SocketAddr;

/// RFC 3261 T1 in nanoseconds.
const T1: u64 = 500_000_000;
/// RFC 3261 T2 in nanoseconds.
const T2: u64 = 4_000_000_000;
/// After 64 * T1 a request has failed.
const GIVE_UP: u64 = 64 * T1;

/// What all calls of a run share.
#[derive(Clone, Debug)]
pub struct Party {
    /// Where requests go.
    pub target: SocketAddr,
    /// What we put into Via and Contact.
    pub local: SocketAddr,
    /// `UDP`, `TCP` or `TLS`.
    pub transport: &'static str,
    /// User part of the Request-URI.
    pub to: String,
    /// User part of From.
    pub from: String,
    /// Tells this run's Call-IDs from another's.
    pub run: u64,
}

/// Where a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// INVITE sent, nothing heard.
    Calling,
    /// A provisional response came.
    Proceeding,
    /// Answered.
    Up,
    /// BYE sent.
    Leaving,
    /// Over.
    Ended,
}

/// What happened to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// 200 came; the audio that its answer describes.
    Answered(Option<Audio>),
    /// A final refusal came.
    Refused(u16),
    /// A request was never answered.
    TimedOut,
    /// Our BYE was answered.
    HungUp,
    /// The far end said BYE.
    FarHungUp,
    /// The far end changed the session; where it now wants its RTP.
    Reinvited(Option<Audio>),
}

/// When a call's steps happened, in nanoseconds; 0 means not yet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Steps {
    /// INVITE first sent.
    pub invite: u64,
    /// 100 received.
    pub trying: u64,
    /// 180 or 183 received.
    pub ringing: u64,
    /// 200 received.
    pub answered: u64,
    /// BYE first sent.
    pub bye: u64,
    /// BYE answered.
    pub ended: u64,
}

/// An unanswered request over a transport that may lose it.
#[derive(Clone, Debug)]
struct Pending {
    text: String,
    next: u64,
    interval: u64,
    give_up: u64,
}

/// One call.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its number in the run.
    pub index: u32,
    /// Where it stands.
    pub phase: Phase,
    /// When its steps happened.
    pub steps: Steps,
    /// Requests sent again for want of an answer.
    pub retransmitted: u32,
    /// Final responses that came again after our ACK.
    pub repeated: u32,
    offer: String,
    cseq: u32,
    to: String,
    remote_target: String,
    routes: Vec<String>,
    pending: Option<Pending>,
    ack: String,
    answered_request: Option<(u32, String)>,
    hang_up_when_answered: bool,
}

impl Call {
    /// A call not yet placed.
    pub fn new(party: &Party, index: u32, offer: String) -> Self {
        let remote_target = format!("sip:{}@{}", party.to, party.target);
        Self {
            index,
            phase: Phase::Calling,
            steps: Steps::default(),
            retransmitted: 0,
            repeated: 0,
            offer,
            cseq: 1,
            to: format!("<{remote_target}>"),
            remote_target,
            routes: Vec::new(),
            pending: None,
            ack: String::new(),
            answered_request: None,
            hang_up_when_answered: false,
        }
    }

    /// The number of the call that a Call-ID of this run names.
    pub fn index_of(party: &Party, call_id: &str) -> Option<u32> {
        let (index, rest) = call_id.split_once('.')?;
        let (run, _) = rest.split_once('@')?;
        (run == format!("{:x}", party.run)).then_some(index.parse().ok()?)
    }

    fn request(&self, party: &Party, method: &str, cseq: u32, branch: &str, body: &str) -> String {
        let (index, run, local) = (self.index, party.run, party.local);
        let transport = match party.transport {
            "TCP" => ";transport=tcp",
            "TLS" => ";transport=tls",
            _ => "",
        };
        let mut text = format!(
            "{method} {} SIP/2.0\r\nVia: SIP/2.0/{} {local};branch={branch};rport\r\nMax-Forwards: 70\r\n\
             From: <sip:{from}@{}>;tag=b{index}\r\nTo: {}\r\nCall-ID: {index}.{run:x}@{}\r\nCSeq: {cseq} {method}\r\n",
            self.remote_target,
            party.transport,
            local.ip(),
            self.to,
            local.ip(),
            from = party.from,
        );
        for route in &self.routes {
            text.push_str("Route: ");
            text.push_str(route);
            text.push_str("\r\n");
        }
        if matches!(method, "INVITE") {
            text.push_str(&format!(
                "Contact: <sip:{}@{local}{transport}>\r\nAllow: INVITE, ACK, BYE, CANCEL, OPTIONS, INFO\r\n",
                party.from
            ));
        }
        text.push_str("User-Agent: offhook-bench\r\n");
        if !body.is_empty() {
            text.push_str("Content-Type: application/sdp\r\n");
        }
        text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        text
    }

    fn branch(&self, party: &Party, method: &str, cseq: u32) -> String {
        format!(
            "z9hG4bK{:x}.{}.{cseq}{}",
            party.run,
            self.index,
            &method[..1]
        )
    }

    fn send(&mut self, party: &Party, text: String, now: u64, out: &mut Vec<String>) {
        let next = if party.transport == "UDP" {
            now + T1
        } else {
            u64::MAX
        };
        out.push(text.clone());
        self.pending = Some(Pending {
            text,
            next,
            interval: T1,
            give_up: now + GIVE_UP,
        });
    }

    /// Places the call.
    pub fn start(&mut self, party: &Party, now: u64, out: &mut Vec<String>) {
        self.steps.invite = now;
        let text = self.request(
            party,
            "INVITE",
            1,
            &self.branch(party, "INVITE", 1),
            &self.offer,
        );
        self.send(party, text, now, out);
    }

    /// Ends the call: BYE, or CANCEL while it is not answered.
    pub fn hang_up(&mut self, party: &Party, now: u64, out: &mut Vec<String>) {
        match self.phase {
            Phase::Up => {
                self.cseq += 1;
                let text = self.request(
                    party,
                    "BYE",
                    self.cseq,
                    &self.branch(party, "BYE", self.cseq),
                    "",
                );
                self.steps.bye = now;
                self.phase = Phase::Leaving;
                self.send(party, text, now, out);
            }
            Phase::Proceeding => {
                self.hang_up_when_answered = true;
                out.push(self.request(party, "CANCEL", 1, &self.branch(party, "INVITE", 1), ""));
            }
            Phase::Calling => self.hang_up_when_answered = true,
            Phase::Leaving | Phase::Ended => {}
        }
    }

    /// Takes a response that names this call.
    pub fn receive_response(
        &mut self,
        party: &Party,
        message: &Message,
        now: u64,
        out: &mut Vec<String>,
    ) -> Option<Event> {
        let status = message.status()?;
        let (cseq, method) = message.cseq()?;
        // RFC 3261 section 17.1.3: a response belongs to the request whose branch it carries.
        if message.branch() != Some(&self.branch(party, method, cseq)) {
            return None;
        }
        match method {
            "INVITE" if cseq == 1 => self.receive_invite_response(party, message, status, now, out),
            "BYE" if cseq == self.cseq && self.phase == Phase::Leaving && status >= 200 => {
                self.pending = None;
                self.phase = Phase::Ended;
                self.steps.ended = now;
                Some(Event::HungUp)
            }
            _ => None,
        }
    }

    fn receive_invite_response(
        &mut self,
        party: &Party,
        message: &Message,
        status: u16,
        now: u64,
        out: &mut Vec<String>,
    ) -> Option<Event> {
        if !matches!(self.phase, Phase::Calling | Phase::Proceeding) {
            if status >= 200 && !self.ack.is_empty() {
                self.repeated += 1;
                out.push(self.ack.clone());
            }
            return None;
        }
        if status < 200 {
            if let Some(pending) = &mut self.pending {
                pending.next = u64::MAX;
                pending.give_up = u64::MAX;
            }
            let first = self.phase == Phase::Calling;
            self.phase = Phase::Proceeding;
            if status == 100 && self.steps.trying == 0 {
                self.steps.trying = now;
            }
            if matches!(status, 180 | 183) && self.steps.ringing == 0 {
                self.steps.ringing = now;
            }
            if first && self.hang_up_when_answered {
                self.hang_up(party, now, out);
            }
            return None;
        }
        self.pending = None;
        if let Some(to) = message.header("To") {
            self.to = to.to_owned();
        }
        if status >= 300 {
            // The ACK of a refusal belongs to the INVITE's transaction: same branch, same Request-URI.
            self.ack = self.request(party, "ACK", 1, &self.branch(party, "INVITE", 1), "");
            out.push(self.ack.clone());
            self.phase = Phase::Ended;
            self.steps.ended = now;
            return Some(Event::Refused(status));
        }
        self.steps.answered = now;
        self.phase = Phase::Up;
        if let Some(contact) = message.contact() {
            self.remote_target = contact.to_owned();
        }
        self.routes = message.record_routes();
        self.routes.reverse();
        self.ack = self.request(party, "ACK", 1, &self.branch(party, "ACK", 1), "");
        out.push(self.ack.clone());
        if self.hang_up_when_answered {
            self.hang_up(party, now, out);
        }
        Some(Event::Answered(Audio::parse(&message.body)))
    }

    /// Takes a request that names this call and answers it.
    pub fn receive_request(
        &mut self,
        party: &Party,
        request: &Message,
        now: u64,
        out: &mut Vec<String>,
    ) -> Option<Event> {
        let method = request.method()?;
        let (cseq, _) = request.cseq()?;
        if method == "ACK" {
            return None;
        }
        if let Some((_, text)) = self
            .answered_request
            .as_ref()
            .filter(|(number, _)| *number == cseq)
        {
            out.push(text.clone());
            return None;
        }
        let (text, event) = match method {
            "BYE" => {
                self.pending = None;
                self.phase = Phase::Ended;
                self.steps.ended = now;
                (respond(request, 200, "OK", "", ""), Some(Event::FarHungUp))
            }
            "INVITE" if self.phase == Phase::Up => {
                let contact = format!(
                    "Contact: <sip:{}@{}>\r\nContent-Type: application/sdp\r\n",
                    party.from, party.local
                );
                let event = Event::Reinvited(Audio::parse(&request.body));
                (
                    respond(request, 200, "OK", &contact, &self.offer),
                    Some(event),
                )
            }
            "OPTIONS" | "INFO" => (respond(request, 200, "OK", "", ""), None),
            "INVITE" => (respond(request, 491, "Request Pending", "", ""), None),
            _ => (
                respond(
                    request,
                    405,
                    "Method Not Allowed",
                    "Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, INFO\r\n",
                    "",
                ),
                None,
            ),
        };
        out.push(text.clone());
        self.answered_request = Some((cseq, text));
        event
    }

    /// When `handle_timeout` is due; `u64::MAX` for never.
    pub fn next_timeout(&self) -> u64 {
        self.pending
            .as_ref()
            .map_or(u64::MAX, |pending| pending.next.min(pending.give_up))
    }

    /// Sends again what got no answer, or gives up.
    pub fn handle_timeout(&mut self, now: u64, out: &mut Vec<String>) -> Option<Event> {
        let pending = self.pending.as_mut()?;
        if now >= pending.give_up {
            self.pending = None;
            self.phase = Phase::Ended;
            self.steps.ended = now;
            return Some(Event::TimedOut);
        }
        if now >= pending.next {
            // An INVITE's interval doubles without end (timer A), another's up to T2 (timer E).
            let cap = if self.phase == Phase::Calling {
                u64::MAX
            } else {
                T2
            };
            pending.interval = (pending.interval * 2).min(cap);
            pending.next = now + pending.interval;
            out.push(pending.text.clone());
            self.retransmitted += 1;
        }
        None
    }
}

/// A response to a request: Via list, From, To, Call-ID and CSeq copied (RFC 3261 section 8.2.6.2).
pub fn respond(request: &Message, status: u16, reason: &str, extra: &str, body: &str) -> String {
    let mut text = format!("SIP/2.0 {status} {reason}\r\n");
    for name in ["Via", "Record-Route", "From", "To", "Call-ID", "CSeq"] {
        for value in request.headers(name) {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    text.push_str(extra);
    text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    text
}
