//! The ports of a media thread: read, and each packet given to the leg whose it is.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use offhook_media_sys::{Carried, Interest};

use super::super::command::{Agreed, LegCommand};
use super::super::leg_slot::LegInput;
use super::super::port_slot::PortSlot;
use super::super::ports::{Left, Placement, Port};
use super::{Kind, Worker, port_timer, token};
use crate::claim::{Judged, LegKey, Policy, Remote, Verdict};
use crate::clock::Time;
use crate::srtp::Protocol;

/// Receive calls on one socket in one turn, so that a flood takes no time from the others.
const BATCHES_PER_TURN: usize = 8;
/// ICMP errors read from one socket in one turn.
const ERRORS_PER_TURN: usize = 16;

impl Worker {
    /// Read a port from now on, if it is not being read; its number.
    pub(super) fn watch_port(&mut self, port: &Arc<Port>) -> Option<u32> {
        if let Some(index) = self.ports.find(port.id.0) {
            return Some(index);
        }
        let mut generation = 0;
        let index = self.ports.insert(port.id.0, |_, current| {
            generation = current;
            PortSlot::new(Arc::clone(port))
        });
        for (kind, socket) in [(Kind::Rtp, &port.rtp), (Kind::Rtcp, &port.rtcp)] {
            let name = token(kind, index, generation);
            if self
                .poller
                .add(socket.descriptor(), name, Interest::READ)
                .is_err()
            {
                self.forget_port(index);
                return None;
            }
        }
        Some(index)
    }

    fn forget_port(&mut self, index: u32) {
        let Some(slot) = self.ports.get_mut(index) else {
            return;
        };
        let port = Arc::clone(&slot.port);
        for socket in [&port.rtp, &port.rtcp] {
            let _ = self.poller.remove(socket.descriptor());
        }
        self.timers.arm(port_timer(index), None);
        self.ports.remove(port.id.0);
    }

    /// Let go of all ports.
    pub(super) fn forget_ports(&mut self) {
        self.out.send.flush();
        for id in self.ports.ids() {
            if let Some(index) = self.ports.find(id) {
                self.forget_port(index);
            }
        }
    }

    /// A port has rested: it is closed unless somebody has taken it again.
    pub(super) fn port_timeout(&mut self, index: u32) {
        let Some(id) = self.ports.get_mut(index).map(|slot| slot.port.id) else {
            return;
        };
        // What still waits holds its sockets.
        self.out.send.flush();
        let shared = Arc::clone(&self.shared);
        let mut ports = shared.ports();
        if ports.close_idle(id) {
            self.forget_port(index);
        }
    }

    /// A leg leaves one of its ports.
    pub(super) fn leave_port(&mut self, index: u32, leg: u64, key: LegKey, now: Time) {
        let Some(slot) = self.ports.get_mut(index) else {
            return;
        };
        slot.intake.close(key, now);
        let id = slot.port.id;
        if let Left::RestsUntil(at) = self.shared.leave_port(id, leg, now) {
            self.timers.arm(port_timer(index), Some(at));
        }
    }

    /// Read what waits at a port; how many packets that was.
    pub(super) fn read_port(&mut self, index: u32, kind: Kind, error: bool, now: Time) -> u32 {
        let Some(slot) = self.ports.get_mut(index) else {
            return 0;
        };
        let port = Arc::clone(&slot.port);
        let crowded = slot.is_crowded();
        let socket = if kind == Kind::Rtp {
            &port.rtp
        } else {
            &port.rtcp
        };
        if error {
            for _ in 0..ERRORS_PER_TURN {
                let Some(icmp) = socket.take_error() else {
                    break;
                };
                self.shared.counters.icmp_errors.fetch_add(1, Relaxed);
                if let (Kind::Rtp, Some(destination)) = (kind, icmp.destination) {
                    self.take_unreachable(index, destination, now);
                }
            }
        }
        let mut packets = 0;
        let mut receive = self.receive.take().unwrap_or_default();
        for _ in 0..BATCHES_PER_TURN {
            socket.receive(&mut receive, crowded);
            if let Some(dropped) = receive.overflow() {
                self.count_overflow(index, kind, dropped);
            }
            packets += receive.len() as u32;
            for number in 0..receive.len() {
                let local = receive.local(number);
                if let Some((source, packet)) = receive.get_mut(number) {
                    self.take_packet(index, kind, source, local, packet, now);
                }
            }
            if !receive.is_full() {
                break;
            }
        }
        self.receive = Some(receive);
        self.count_intake(index);
        packets
    }

    /// A datagram for a port in memory; one for an address that is none of ours is dropped, as a network would.
    pub(super) fn take_datagram(&mut self, datagram: &mut Carried, now: Time) {
        let Carried { from, to, bytes } = datagram;
        let found = self.ports.ids().into_iter().find_map(|id| {
            let index = self.ports.find(id)?;
            let address = self.ports.get_mut(index)?.port.address;
            let above = SocketAddr::new(address.ip(), address.port() + 1);
            match *to {
                to if to == address => Some((index, Kind::Rtp)),
                to if to == above => Some((index, Kind::Rtcp)),
                _ => None,
            }
        });
        if let Some((index, kind)) = found {
            self.take_packet(index, kind, *from, None, bytes, now);
            self.count_intake(index);
        }
    }

    /// An ICMP error for something that we sent: the address tells whose it was.
    fn take_unreachable(&mut self, index: u32, destination: SocketAddr, now: Time) {
        let owner = self
            .ports
            .get_mut(index)
            .and_then(|slot| slot.intake.claims().owner(destination));
        if let Some(leg) = owner {
            self.drive_leg(leg.0, LegInput::Unreachable(destination), now);
        }
    }

    fn count_overflow(&mut self, index: u32, kind: Kind, count: u32) {
        if let Some(slot) = self.ports.get_mut(index) {
            let more = slot.dropped_since(kind == Kind::Rtcp, count);
            let counters = &self.shared.counters;
            counters.receive_overflow.fetch_add(more, Relaxed);
        }
    }

    fn count_intake(&mut self, index: u32) {
        let Some(slot) = self.ports.get_mut(index) else {
            return;
        };
        let counted = slot.counted();
        let counters = &self.shared.counters;
        let add = |counter: &AtomicU64, more: u64| {
            if more > 0 {
                counter.fetch_add(more, Relaxed);
            }
        };
        add(&counters.parked, counted.parked);
        add(&counters.unclaimed, counted.unclaimed);
        add(&counters.stragglers, counted.stragglers);
        add(&counters.refused, counted.refused);
    }

    /// Ask whose packet it is, and give it to that leg.
    fn take_packet(
        &mut self,
        index: u32,
        kind: Kind,
        source: SocketAddr,
        local: Option<IpAddr>,
        packet: &mut [u8],
        now: Time,
    ) {
        let Some(slot) = self.ports.get_mut(index) else {
            return;
        };
        // What the leg that was asked last made of the packet.
        let (legs, mut opened) = (&mut self.legs, None);
        let mut open = |key: LegKey, protocol, packet: &mut [u8]| {
            let result = legs.get_mut(key.0)?.leg.open(now, protocol, packet);
            opened = Some((key, result));
            result.ok()
        };
        let judged = match kind {
            Kind::Rtp => slot.intake.receive_rtp(now, source, packet, &mut open),
            _ => Judged::Rtcp(slot.intake.receive_rtcp(source, packet, &mut open)),
        };
        let (protocol, verdict) = match judged {
            Judged::Rtp(verdict) => (Protocol::Rtp, verdict),
            Judged::Rtcp(verdict) => (Protocol::Rtcp, verdict),
            Judged::Garbage(leg) => {
                if let Some(leg) = leg {
                    self.drive_leg(leg.0, LegInput::Garbage(source, packet), now);
                }
                return;
            }
        };
        let (key, accepted) = match verdict {
            Verdict::Accepted(leg) | Verdict::Latched(leg) => (leg, true),
            Verdict::Probation(leg) | Verdict::Refused(Some(leg)) => (leg, false),
            // Nobody's.
            Verdict::Refused(None) | Verdict::Ended => return,
        };
        let latched = matches!(verdict, Verdict::Latched(_));
        if latched && protocol == Protocol::Rtp {
            self.settle(key, index, now);
        }
        let result = match opened {
            Some((asked, result)) if asked == key => result.map_err(Some),
            // Nobody is asked where media is plain; a key may have been given up a moment ago.
            _ if accepted => match self.legs.get_mut(key.0) {
                Some(slot) => slot.leg.open(now, protocol, packet).map_err(Some),
                None => return,
            },
            _ => Err(None),
        };
        self.take_waited(index, now);
        let input = match result {
            Ok(len) if accepted && protocol == Protocol::Rtp => LegInput::Rtp {
                source,
                local,
                packet: &packet[..len],
                latched,
            },
            Ok(len) if accepted => LegInput::Rtcp {
                source,
                packet: &packet[..len],
                latched,
            },
            Ok(_) => LegInput::Refused {
                protocol,
                error: None,
            },
            Err(error) => LegInput::Refused { protocol, error },
        };
        self.drive_leg(key.0, input, now);
    }

    /// Give legs what had to wait until it was known whose it is.
    fn take_waited(&mut self, index: u32, now: Time) {
        while let Some(waited) = self
            .ports
            .get_mut(index)
            .and_then(|slot| slot.intake.poll())
        {
            let leg = waited.leg;
            self.settle(leg, index, now);
            self.drive_leg(leg.0, LegInput::Waited(waited), now);
        }
    }

    /// A leg is heard on this port: if that is its new one, it needs the old one no longer.
    fn settle(&mut self, key: LegKey, index: u32, now: Time) {
        let Some(leg) = self.legs.get_mut(key.0) else {
            return;
        };
        if leg.places.current == index
            && let Some(old) = leg.places.old.take()
        {
            let id = leg.id;
            self.leave_port(old, id, key, now);
        }
    }

    /// SDP is about to name this port for a leg, beside the one that it has.
    pub(super) fn place_leg(&mut self, index: u32, placement: Placement, now: Time) {
        self.unplace_leg(index, now);
        let watched = self.watch_port(&placement.port);
        let Some(leg) = self.legs.get_mut(index) else {
            return;
        };
        let Some(place) = watched else {
            let port = placement.port.id;
            drop(placement);
            self.shared.leave_port(port, leg.id, now);
            return;
        };
        leg.places.next = Some((place, Arc::clone(&placement.port)));
        if let Some(slot) = self.ports.get_mut(place) {
            slot.intake
                .open(LegKey(index), Policy::nobody(), placement.latch);
        }
    }

    /// It did not.
    pub(super) fn unplace_leg(&mut self, index: u32, now: Time) {
        if let Some(leg) = self.legs.get_mut(index)
            && let Some((next, _)) = leg.places.next.take()
        {
            let id = leg.id;
            self.leave_port(next, id, LegKey(index), now);
        }
    }

    /// Offer and answer have come to something: the leg is where our SDP says.
    pub(super) fn set_remote(&mut self, index: u32, agreed: Box<Agreed>, now: Time) {
        let key = LegKey(index);
        self.move_leg(index, &agreed, now);
        let Some(leg) = self.legs.get_mut(index) else {
            return;
        };
        let place = leg.places.current;
        let claimed = Remote {
            rtp: agreed.remote.rtp,
            rtcp: agreed.remote.rtcp,
            rtcp_mux: agreed.remote.rtcp_mux,
            payload_types: agreed.remote.payload_type_bits(),
            secured: agreed.remote.srtp.is_some(),
        };
        let policy = agreed.policy.clone();
        // The leg first: what has waited is opened with its keys.
        self.drive_leg(index, LegInput::Command(LegCommand::SetRemote(agreed)), now);
        let Some(slot) = self.ports.get_mut(place) else {
            return;
        };
        let legs = &mut self.legs;
        let open = &mut |key: LegKey, protocol, packet: &mut [u8]| {
            let leg = &mut legs.get_mut(key.0)?.leg;
            leg.open(now, protocol, packet).ok()
        };
        if slot
            .intake
            .set_remote(now, key, claimed, policy, open)
            .is_err()
        {
            // Another leg has learned just this source a moment ago, too late for who hands out ports to know.
            self.shared.counters.collisions.fetch_add(1, Relaxed);
        }
        self.take_waited(place, now);
        self.count_intake(place);
    }

    /// If our SDP names the port that was found for it, the leg moves there. What it hears on the old one plays on.
    fn move_leg(&mut self, index: u32, agreed: &Agreed, now: Time) {
        let key = LegKey(index);
        let Some(leg) = self.legs.get_mut(index) else {
            return;
        };
        let Some((next, port)) = leg.places.next.take_if(|(_, port)| port.id == agreed.port) else {
            return;
        };
        let id = leg.id;
        leg.port = port;
        let before = std::mem::replace(&mut leg.places.current, next);
        let older = leg.places.old.take();
        let heard = self.ports.get_mut(before).is_some_and(|slot| {
            let heard = slot.intake.claims().latched(key).is_some();
            slot.intake.leave(key);
            heard
        });
        if heard && let Some(leg) = self.legs.get_mut(index) {
            leg.places.old = Some(before);
        } else {
            self.leave_port(before, id, key, now);
        }
        if let Some(older) = older {
            self.leave_port(older, id, key, now);
        }
    }
}
