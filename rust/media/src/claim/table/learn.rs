//! A source that nobody has named or listens to: whose it may be, and what it has to show first.
use super::super::glimpse::Glimpse;
use super::super::tombstone::Known;
use super::{Candidate, Claim, ClaimTable, MAX_CANDIDATES, PROBATION, Verdict};
use crate::claim::LegKey;
use crate::clock::Time;
use std::net::SocketAddr;
use std::time::Duration;

/// And how long it must keep on where other legs share the port and SDP's own address can be reached: a call that is just being
/// answered sends already, and has its claim by then.
const SHARED_PROBATION: Duration = Duration::from_millis(160);
/// Most legs that are asked whether they can authenticate a packet of a source that nobody listens to.
const MAX_TRIALS: usize = 4;

impl ClaimTable {
    /// Judges a packet of a source that nobody has named or listens to.
    pub(super) fn learn(
        &mut self,
        now: Time,
        source: SocketAddr,
        packet: Glimpse,
        authenticate: &mut dyn FnMut(LegKey) -> bool,
    ) -> Verdict {
        let known = self
            .stones
            .know(now, (source, packet.ssrc), packet.sequence);
        if known == Known::Ended || self.stones.is_named(now, source) {
            return Verdict::Ended;
        }
        if !self.hosts.may_be_learned(source.ip()) {
            return Verdict::Refused(self.only_leg());
        }
        let mut trials = Trials::default();
        let (mut knowing, mut resembling) = (Pick::None, Pick::None);
        let (mut waiting, mut all) = (Pick::None, Pick::None);
        for (at, claim) in self.claims.iter().enumerate() {
            let Some(claim) = claim
                .as_ref()
                .filter(|claim| claim.could_learn(source.ip()))
            else {
                continue;
            };
            let same = claim
                .latch
                .as_ref()
                .filter(|latch| latch.ssrc == packet.ssrc);
            let knows = match known {
                Known::Left(leg) => claim.leg == leg,
                _ => same.is_some_and(|latch| latch.goes_on(now, packet.sequence)),
            };
            if claim.remote.secured {
                trials.add(at, knows, claim.may_learn_now(now));
                continue;
            }
            all.add(at);
            if knows {
                knowing.add(at);
            } else if same.is_some() && claim.is_silent(now) {
                resembling.add(at);
            }
            if claim.is_waiting() {
                waiting.add(at);
            }
        }
        for at in trials.in_order() {
            if authenticate(self.at(at).leg) {
                return self.latch(now, at, source, packet);
            }
        }
        // The leg that knows the stream; else the only one that waits for its first, or that is silent and had this SSRC, or that
        // there is. Where that leaves two, there is no guess.
        let is_unknown = known == Known::Nothing;
        let picked = match (knowing, resembling, waiting, all) {
            (Pick::One(at), _, _, _) => at,
            (Pick::None, Pick::One(at), Pick::None, _)
            | (Pick::None, Pick::None, Pick::One(at), _)
            | (Pick::None, Pick::None, Pick::None, Pick::One(at))
                if is_unknown =>
            {
                at
            }
            _ => return Verdict::Refused(self.only_leg()),
        };
        let is_shared = self.len() > 1;
        let claim = self.claims[picked]
            .as_mut()
            .expect("it was found a moment ago");
        let leg = claim.leg;
        let expected = claim.policy.must_learn(claim.remote.rtp) || matches!(knowing, Pick::One(_));
        let probation = if is_shared && !expected {
            SHARED_PROBATION
        } else {
            Duration::ZERO
        };
        if !claim.may_learn_now(now) || !claim.remote.accepts(packet.payload_type) {
            return Verdict::Refused(Some(leg));
        }
        if !claim.probe(now, source, packet, probation) {
            return Verdict::Probation(leg);
        }
        self.latch(now, picked, source, packet)
    }
}

impl Claim {
    /// Whether `source` has now shown enough packets in sequence, for long enough.
    fn probe(
        &mut self,
        now: Time,
        source: SocketAddr,
        packet: Glimpse,
        probation: Duration,
    ) -> bool {
        if let Some(found) = self
            .candidates
            .iter_mut()
            .find(|candidate| candidate.source == source)
        {
            let follows = found.ssrc == packet.ssrc && found.next_sequence == packet.sequence;
            if follows {
                found.in_sequence = found.in_sequence.saturating_add(1);
            } else {
                found.in_sequence = 1;
                found.since = now;
            }
            found.ssrc = packet.ssrc;
            found.next_sequence = packet.sequence.wrapping_add(1);
            return found.in_sequence >= PROBATION && now - found.since >= probation;
        }
        if self.candidates.len() == MAX_CANDIDATES {
            self.candidates.remove(0);
        }
        self.candidates.push(Candidate {
            source,
            ssrc: packet.ssrc,
            since: now,
            next_sequence: packet.sequence.wrapping_add(1),
            in_sequence: 1,
        });
        false
    }
}

/// None, one or more: only one of them is an answer.
#[derive(Clone, Copy)]
enum Pick {
    None,
    One(usize),
    Many,
}

impl Pick {
    fn add(&mut self, at: usize) {
        *self = match self {
            Pick::None => Pick::One(at),
            _ => Pick::Many,
        };
    }
}

/// The secured legs that are asked about a packet: first the one that knows its stream, then those that hear none.
#[derive(Default)]
struct Trials {
    knowing: Option<usize>,
    waiting: [usize; MAX_TRIALS],
    count: usize,
}

impl Trials {
    fn add(&mut self, at: usize, knows: bool, listens: bool) {
        if knows && self.knowing.is_none() {
            self.knowing = Some(at);
        } else if listens && self.count < MAX_TRIALS {
            self.waiting[self.count] = at;
            self.count += 1;
        }
    }

    fn in_order(&self) -> impl Iterator<Item = usize> + use<> {
        let waiting = self.waiting.into_iter().take(self.count);
        self.knowing.into_iter().chain(waiting).take(MAX_TRIALS)
    }
}
