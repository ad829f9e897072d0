//! What a leg hears of a line: of its own, as an echo, or of the leg that it is bridged with.
use super::passage::{Origin, Passage};
use super::{Leg, RemoteMedia};
use crate::clock::Time;
use crate::codec::Codec;
use crate::shelf::Queued;

impl Leg {
    /// Sends the caller's sound back to the caller, beside giving it to the sink.
    pub fn set_echo(&mut self, on: bool) {
        let is_on = self.hears(Origin::Own);
        if on && !is_on {
            let codecs = self.codecs();
            self.passage = Some(Box::new(Passage::new(Origin::Own, codecs)));
        } else if is_on && !on {
            self.passage = None;
        }
        self.playout.set_live(self.passage.is_some());
    }

    /// The peer hears another line from here on, whose packets come by [`Leg::take_of_partner`], in these codecs. What it heard of a line
    /// before fades.
    pub fn hear_partner(&mut self, now: Time, codecs: impl IntoIterator<Item = Codec>) {
        self.break_off_partner(now);
        self.passage = Some(Box::new(Passage::new(Origin::Partner, codecs)));
        self.playout.set_live(true);
    }

    /// And no longer.
    pub fn part(&mut self, now: Time) {
        if self.hears(Origin::Partner) {
            self.break_off_partner(now);
            self.passage = None;
            self.playout.set_live(false);
        }
    }

    /// What the peer may send.
    pub fn codecs(&self) -> Vec<Codec> {
        let remote = self.remote.iter();
        remote.flat_map(RemoteMedia::codecs).collect()
    }

    /// The partner's peer may send these codecs.
    pub fn expect_of_partner(&mut self, codecs: impl IntoIterator<Item = Codec>) {
        if let Some(passage) = self.of(Origin::Partner) {
            passage.expect(codecs);
        }
    }

    /// What the partner is just saying is not to be heard: the tones of a key that is told in another way.
    pub fn hush_partner(&mut self, now: Time) {
        self.end_passing(now, false);
        if let Some(passage) = self.of(Origin::Partner) {
            passage.hush(now);
        }
    }

    /// Whether a partner is heard.
    pub fn hears_partner(&self) -> bool {
        self.hears(Origin::Partner)
    }

    fn hears(&self, origin: Origin) -> bool {
        let passage = self.passage.as_ref();
        passage.is_some_and(|passage| passage.is_of(origin))
    }

    fn of(&mut self, origin: Origin) -> Option<&mut Passage> {
        let passage = self.passage.as_deref_mut();
        passage.filter(|passage| passage.is_of(origin))
    }

    pub(super) fn expect_own(&mut self) {
        let remote = self.remote.iter();
        if let Some(passage) = self.passage.as_deref_mut()
            && passage.is_of(Origin::Own)
        {
            passage.expect(remote.flat_map(RemoteMedia::codecs));
        }
    }

    pub(super) fn echo_back(&mut self, now: Time, packet: Queued<'_>, anew: bool) {
        if let Some(passage) = self.of(Origin::Own) {
            if anew {
                passage.restart();
            }
            passage.receive(now, packet);
        }
    }

    /// Something else follows: what is heard of a partner fades.
    pub(super) fn break_off_partner(&mut self, now: Time) {
        if self.is_passing() {
            return self.end_passing(now, true);
        }
        if let Some(passage) = self.passage.as_deref_mut()
            && passage.is_of(Origin::Partner)
        {
            passage.break_off(now, &mut self.playout);
        }
    }

    pub(super) fn hear_passage(&mut self, now: Time) {
        if let Some(passage) = self.passage.as_deref_mut() {
            let keyed = self.keys.are_pressed();
            passage.handle_timeout(now, &mut self.playout, keyed);
        }
    }
}
