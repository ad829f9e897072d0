//! Keys: those that the peer's user presses, told once each, and those that we press.
use super::{DtmfBy, DtmfTones, Leg, LegEvent, LegSink};
use crate::clock::Time;
use crate::playout::{Frame, LINE_RATE, MAX_FRAME};
use crate::presses::{PressedBy, Presses};
use crate::rtp::Packet;
use crate::telephone_event::{
    Digit, Event, EventPacket, EventReceiver, EventSender, Key, KeyTiming, Keyed, Tick,
};
use crate::tones::{Likeness, ToneDetector, ToneMaker};
use crate::uplink::{Fill, UplinkFrame};
use std::time::Duration;

/// The tones of a key that we press come back no later than this after its end.
const ECHO: Duration = Duration::from_millis(400);
/// So many keys of ours may be on their way back.
const ECHOES: usize = 4;
/// Around the packets of an event there may be rests of its tone in the sound: the packets before it are not held back that long.
const LEAK: Duration = Duration::from_millis(80);

/// Nobody presses keys faster than this for long, nor does a machine that dials: a press of 10 ms, and 10 ms none.
const FASTEST: Duration = Duration::from_millis(20);
/// So many may come at once, after a standstill of the network.
const AT_ONCE: u32 = 50;

/// What a leg knows of keys.
#[derive(Debug)]
pub(super) struct Keys {
    events: EventReceiver,
    detector: Option<Box<ToneDetector>>,
    presses: Presses,
    sender: EventSender,
    maker: ToneMaker,
    /// Tones are the peer's way to tell of presses.
    hears_tones: bool,
    /// Sound that is like a tone has to be pointed out.
    watches: bool,
    /// Keys that we pressed by tones, and until when they may come back.
    own: [Option<(Digit, Time)>; ECHOES],
    leak_until: Time,
    /// As long as presses that came take to be pressed at the fastest.
    busy_until: Time,
}

/// What a frame holds of keys.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HeardKeys {
    pub likeness: Likeness,
    /// Keys that were let go with it: one that ended in a pause before it, and one in its own sound.
    pub ended: [Option<Keyed>; 2],
}

/// What leaves in place of a silent frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Pressing {
    /// An event packet.
    Event(EventPacket),
    /// The key's tones, which have been written over the frame.
    Tones,
    /// The frame.
    Silence,
}

impl Keys {
    pub fn new() -> Self {
        Keys {
            events: EventReceiver::new(LINE_RATE),
            detector: None,
            presses: Presses::default(),
            sender: EventSender::new(LINE_RATE),
            maker: ToneMaker::default(),
            hears_tones: false,
            watches: false,
            own: [None; ECHOES],
            leak_until: Time::ZERO,
            busy_until: Time::ZERO,
        }
    }

    /// Whether the caller's sound is listened to for tones: to tell of presses, or to point them out.
    fn listen(&mut self, hears_tones: bool, watches: bool) {
        (self.hears_tones, self.watches) = (hears_tones, watches);
        if !(hears_tones || watches) {
            self.detector = None;
        } else if self.detector.is_none() {
            self.detector = Some(Box::default());
        }
    }

    /// Whether a key is being pressed, or its turn has come.
    pub fn are_due(&self, left: u64) -> bool {
        self.sender.is_due(left)
    }

    /// Whether keys are being pressed or wait.
    pub fn are_pressed(&self) -> bool {
        self.sender.is_busy()
    }

    /// Nothing can be sent for now: see [`EventSender::interrupt`].
    pub fn interrupt(&mut self) {
        self.sender.interrupt();
    }

    pub fn next_timeout(&self) -> Option<Time> {
        self.events.next_timeout()
    }

    /// Listens to a frame of the caller's timeline.
    pub fn hear(&mut self, now: Time, frame: &UplinkFrame<'_>) -> HeardKeys {
        let Some(detector) = &mut self.detector else {
            return HeardKeys::default();
        };
        let mut heard = HeardKeys::default();
        let [before, within] = &mut heard.ended;
        if frame.after_pause {
            detector.pause(|keyed| *before = Some(keyed));
        }
        let made = frame.fill != Fill::Heard;
        heard.likeness = detector.hear(frame.pcm, frame.rate, made, |keyed| {
            *within = Some(keyed);
        });
        if self.watches && now < self.leak_until {
            heard.likeness = Likeness::Tone;
        }
        let is_own = |keyed: &Keyed| {
            let began = now.saturating_sub(keyed.duration);
            let mut own = self.own.iter().flatten();
            own.any(|&(digit, until)| digit == keyed.digit && began < until)
        };
        let is_told = |keyed: &Keyed| self.hears_tones && !is_own(keyed);
        heard.ended = heard.ended.map(|keyed| keyed.filter(is_told));
        heard
    }

    /// A key of ours is pressed by its tones.
    fn pressed(&mut self, now: Time, digit: Digit, begins: bool) {
        if begins {
            self.own.rotate_right(1);
        }
        self.own[0] = Some((digit, now + ECHO));
    }

    /// Whether somebody can have pressed all the keys that have come by events: each costs the agent and Python a message.
    fn is_possible(&mut self, now: Time) -> bool {
        let possible = self.busy_until - now <= FASTEST * AT_ONCE;
        if possible {
            self.busy_until = self.busy_until.max(now) + FASTEST;
        }
        possible
    }

    /// The peer's events count at so many Hz.
    pub fn set_event_clock(&mut self, rate: u32) {
        if rate != self.events.clock_rate() {
            self.events = EventReceiver::new(rate);
        }
    }

    /// Whether a press is a new one.
    pub fn is_new(&mut self, now: Time, by: PressedBy, keyed: Keyed) -> bool {
        let began = now.saturating_sub(keyed.duration);
        self.presses.is_new(keyed.digit, by, began, now)
    }
}

impl Leg {
    /// Which ways of the peer's keys are listened to, by what was negotiated and what has been asked for.
    pub(super) fn listen_for_keys(&mut self) {
        let tones = self
            .remote
            .as_ref()
            .is_some_and(|remote| remote.dtmf_tones != DtmfTones::Ignored);
        self.keys.listen(tones, self.watches_tones);
    }

    /// Points out, by [`LegSink::tone`], where the peer's sound has the tones of keys, be they told or not.
    pub fn watch_tones(&mut self, on: bool) {
        self.watches_tones = on;
        self.listen_for_keys();
    }

    /// Takes a press that the peer has told of by signalling.
    pub fn press(&mut self, now: Time, digit: Digit, duration: Duration, sink: &mut impl LegSink) {
        self.tell_digit(now, PressedBy::Info, Some(Keyed { digit, duration }), sink);
        self.publish();
    }

    /// [`Leg::send_dtmf_timed`] with the usual timing.
    pub fn send_dtmf(&mut self, digits: &str) -> usize {
        self.send_dtmf_timed(digits, KeyTiming::default())
    }

    /// Keys digits, one after the other, behind the sound that waits now; the agent's further sound waits for them. Returns how many were taken:
    /// none if there is no way to tell the peer, not those that are no keys, and at most [`crate::telephone_event::MAX_DIGITS`] wait.
    pub fn send_dtmf_timed(&mut self, digits: &str, timing: KeyTiming) -> usize {
        let remote = self.remote.as_ref();
        let by = remote.map(|remote| remote.dtmf_by);
        let known = match by {
            None => false,
            Some(DtmfBy::Event) => self.sends_events(),
            Some(DtmfBy::Info | DtmfBy::Tone) => true,
        };
        let can_be_sent = |digit: &Digit| known && (digit.has_tone() || by == Some(DtmfBy::Event));
        let after = self.playout.end();
        let mut taken = 0;
        for key in digits.chars() {
            let digit = Digit::from_char(key).filter(can_be_sent);
            let key = digit.map(|digit| Key {
                digit,
                timing,
                after,
            });
            if key.is_some_and(|key| self.keys.sender.push(key)) {
                taken += 1;
            } else {
                self.stats.dropped_digits.add(1);
            }
        }
        self.settle_playout();
        taken
    }

    /// Whether the peer takes telephone events.
    fn sends_events(&self) -> bool {
        let remote = self.remote.as_ref();
        remote.is_some_and(|remote| remote.dtmf_send.is_some())
    }

    /// What of a key leaves with the frame that is due, which is silent and may be written over.
    pub(super) fn press_key(
        &mut self,
        now: Time,
        frame: &Frame,
        sound: &mut [u8; MAX_FRAME],
        sink: &mut impl LegSink,
    ) -> Pressing {
        let by = self
            .remote
            .as_ref()
            .map_or(DtmfBy::Event, |remote| remote.dtmf_by);
        let tick = self.keys.sender.tick(self.timestamp, frame.ticks);
        let Tick::Packet(packet) = tick else {
            return Pressing::Silence;
        };
        match by {
            DtmfBy::Event if self.sends_events() => return Pressing::Event(packet),
            DtmfBy::Event => {
                // The peer gave up telephone events while keys waited for their turn.
                if packet.marker {
                    let dropped = 1 + self.keys.sender.clear();
                    self.stats.dropped_digits.add(dropped as u64);
                    sink.event(LegEvent::KeysNotSent);
                }
                return Pressing::Silence;
            }
            _ if packet.again => return Pressing::Silence,
            DtmfBy::Tone => {}
            DtmfBy::Info => {
                if packet.marker {
                    self.stats.sent_digits.add(1);
                    let key = self.keys.sender.key().unwrap_or(Key::of(digit_of(&packet)));
                    sink.event(LegEvent::KeyByInfo {
                        digit: key.digit,
                        duration: key.timing.lasts,
                    });
                }
                return Pressing::Silence;
            }
        }
        self.stats.sent_digits.add(u64::from(packet.marker));
        let format = self.playout.format();
        let mut made = [0; MAX_FRAME / 2];
        let made = &mut made[..frame.len / format.encoding.sample_bytes()];
        let (begins, ends) = (packet.marker, packet.event.end);
        let digit = digit_of(&packet);
        self.keys.pressed(now, digit, begins);
        self.keys.maker.make(digit, format.rate, begins, ends, made);
        format.encoding.write_to(made, &mut sound[..frame.len]);
        Pressing::Tones
    }

    pub(super) fn take_event(&mut self, now: Time, packet: &Packet<'_>, sink: &mut impl LegSink) {
        let event =
            Event::decode(packet.payload).filter(|event| Digit::from_event(event.code).is_some());
        let Some(event) = event else {
            self.stats.received_bad_events.add(1);
            return;
        };
        if self.watches_tones {
            self.keys.leak_until = now + LEAK;
            sink.tone(Likeness::Tone);
        }
        for keyed in self.keys.events.receive(now, packet.timestamp, event) {
            self.tell_digit(now, PressedBy::Event, keyed, sink);
        }
    }

    /// The peer's stream begins anew: what it was keying ends.
    pub(super) fn restart_events(&mut self, now: Time, sink: &mut impl LegSink) {
        let ended = self.keys.events.restart();
        self.tell_digit(now, PressedBy::Event, ended, sink);
    }

    /// The end of an event is given up if nothing more comes of it.
    pub(super) fn end_lost_events(&mut self, now: Time, sink: &mut impl LegSink) {
        let ended = self.keys.events.handle_timeout(now);
        self.tell_digit(now, PressedBy::Event, ended, sink);
    }

    fn tell_digit(
        &mut self,
        now: Time,
        by: PressedBy,
        keyed: Option<Keyed>,
        sink: &mut impl LegSink,
    ) {
        let Some(keyed) = keyed else {
            return;
        };
        if by == PressedBy::Event && !self.keys.is_possible(now) {
            self.stats.received_bad_events.add(1);
            return;
        }
        if self.keys.is_new(now, by, keyed) {
            self.stats.received_digits.add(1);
            let Keyed { digit, duration } = keyed;
            sink.event(LegEvent::Digit {
                digit,
                duration,
                by,
            });
        } else {
            self.stats.received_double_digits.add(1);
        }
    }
}

fn digit_of(packet: &EventPacket) -> Digit {
    Digit::from_event(packet.event.code).expect("keys alone are sent")
}
