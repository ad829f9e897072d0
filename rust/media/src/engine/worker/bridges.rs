//! Legs of a media thread that hear each other.

use super::super::command::NewBridge;
use super::super::leg_slot::Partner;
use super::{Worker, leg_timer};
use crate::clock::Time;

impl Worker {
    /// Join two legs in place of what either was joined with.
    pub(super) fn bridge(&mut self, new: NewBridge, now: Time) {
        let [Some(a), Some(b)] = new.legs.map(|leg| self.legs.find(leg)) else {
            return;
        };
        let settings = new.settings;
        for (own, other) in [(a, b), (b, a)] {
            // The first hears the second in any case.
            let heard = own == b || !settings.one_way;
            let partner = Partner {
                bridge: new.id,
                index: other,
                heard,
                digits: settings.digits && heard,
            };
            self.part_from_others(own, other, now);
            self.connect(own, None, false, now);
            let (Some(leg), Some(other)) = self.legs.pair_mut(own, other) else {
                continue;
            };
            let hears = own == a || !settings.one_way;
            leg.partner = Some(partner);
            leg.side.downlink.reset();
            leg.end_agent_utterance();
            leg.leg.set_echo(false);
            match (hears, leg.leg.hears_partner()) {
                (true, false) => leg.leg.hear_partner(now, other.leg.codecs()),
                (false, true) => leg.leg.part(now),
                _ => {}
            }
        }
        for leg in [a, b] {
            self.arm_leg(leg);
        }
    }

    /// What `own` was bridged with before, unless it is `other`, is alone now.
    fn part_from_others(&mut self, own: u32, other: u32, now: Time) {
        let before = self.legs.get_mut(own).and_then(|leg| leg.partner.as_ref());
        if before.is_some_and(|partner| partner.index != other) {
            self.part(own, now);
        }
    }

    /// A bridge is closed, if it is still that one.
    pub(super) fn unbridge(&mut self, bridge: u64, leg: u64, now: Time) {
        if let Some(index) = self.legs.find(leg)
            && let Some(slot) = self.legs.get_mut(index)
            && slot
                .partner
                .as_ref()
                .is_some_and(|own| own.bridge == bridge)
        {
            self.part(index, now);
        }
    }

    /// A leg and its partner, if it has one, are alone from here on.
    pub(super) fn part(&mut self, index: u32, now: Time) {
        let Some(partner) = self.legs.get_mut(index).and_then(|leg| leg.partner.take()) else {
            return;
        };
        if let Some(other) = self.legs.get_mut(partner.index) {
            other.partner = None;
        }
        for index in [index, partner.index] {
            if let Some(leg) = self.legs.get_mut(index) {
                leg.leg.part(now);
            }
            self.arm_leg(index);
        }
    }

    /// What a leg's peer may send has changed: its partner may have to decode it.
    pub(super) fn tell_partner_codecs(&mut self, index: u32) {
        let partner = self
            .legs
            .get_mut(index)
            .and_then(|leg| leg.partner.as_ref());
        if let Some(other) = partner.map(|partner| partner.index)
            && let (Some(leg), Some(other)) = self.legs.pair_mut(index, other)
        {
            other.leg.expect_of_partner(leg.leg.codecs());
        }
    }

    pub(super) fn arm_leg(&mut self, index: u32) {
        if let Some(leg) = self.legs.get_mut(index) {
            let next = leg.next_timeout().map(Time::as_nanos);
            self.timers.arm(leg_timer(index), next);
        }
    }
}
