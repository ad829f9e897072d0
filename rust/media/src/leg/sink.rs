//! Where what a leg does goes: sound, packets, and what it tells.
use std::net::SocketAddr;
use std::time::Duration;

use crate::convert::AudioFormat;
use crate::playout::MarkId;
use crate::presses::PressedBy;
use crate::shelf::Queued;
use crate::telephone_event::Digit;
use crate::tones::Likeness;
use crate::uplink::UplinkFrame;
use crate::vad::Speech;
use crate::vad::listeners::Listeners;
use crate::who_answered::Sign;

/// Where a leg's output goes. Nothing is allocated on the way.
pub trait LegSink {
    /// The caller's sound, in order.
    fn audio(&mut self, frame: UplinkFrame<'_>);
    /// The frame that follows is so much like a key's tones, and the 60 ms before it may have been; see [`super::Leg::watch_tones`].
    fn tone(&mut self, likeness: Likeness) {
        let _ = likeness;
    }
    /// A packet of the peer's that is heard, in the order in which it came, for the leg that this one is bridged with. `anew`: another stream
    /// begins with it.
    fn onward(&mut self, packet: Queued<'_>, anew: bool) {
        let _ = (packet, anew);
    }
    /// An RTP packet to send.
    fn send_rtp(&mut self, to: SocketAddr, packet: &[u8]);
    /// An RTCP packet to send.
    fn send_rtcp(&mut self, to: SocketAddr, packet: &[u8]);
    /// An empty datagram to send, which is no packet of any stream (RFC 6263 section 4.1).
    fn keep_open(&mut self, to: SocketAddr) {
        let _ = to;
    }
    /// Something that signalling or the agent has to know.
    fn event(&mut self, event: LegEvent);
    /// The sound before this mark has left.
    fn mark(&mut self, mark: MarkId);
    /// The network that tells speech from noise, and the seats at it, if there is one.
    fn listeners(&mut self) -> Option<&mut Listeners> {
        None
    }
    /// Whether anybody takes [`LegSink::sent`]: packets that are handed on as they came are decoded for that alone.
    fn records(&self) -> bool {
        false
    }
    /// The sound of the packet that was sent just now.
    fn sent(&mut self, frame: SentFrame<'_>) {
        let _ = frame;
    }
}

/// The sound of a packet that has left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SentFrame<'a> {
    /// Where it begins, in ticks of 8 kHz; wraps at 2^32.
    pub timestamp: u32,
    /// It is the first of a talkspurt, which leaves at once: its timestamp may be ahead of the clock.
    pub begins: bool,
    /// How it is written.
    pub format: AudioFormat,
    /// The samples, before a codec with a memory encoded them.
    pub sound: &'a [u8],
    /// They are the tones of a key.
    pub tone: bool,
}

/// What a leg tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LegEvent {
    /// The first RTP packet of the peer has come.
    FirstPacket {
        /// From there.
        source: SocketAddr,
    },
    /// The peer's media comes from another address than before.
    SourceChanged {
        /// From there, now.
        source: SocketAddr,
    },
    /// The first frame of the agent's sound has been sent.
    FirstAudioSent,
    /// The peer has keyed a digit. Told once, however many ways it came.
    Digit {
        /// Which.
        digit: Digit,
        /// For how long.
        duration: Duration,
        /// The way that it came first.
        by: PressedBy,
    },
    /// A key of ours begins that the peer is to be told of by SIP INFO.
    KeyByInfo {
        /// Which.
        digit: Digit,
        /// For how long.
        duration: Duration,
    },
    /// Keys of ours that waited can't be sent: the peer takes no telephone events any more.
    KeysNotSent,
    /// The peer's user has begun to speak or has stopped.
    Speech(Speech),
    /// It is sure that the peer's user speaks over the agent, whose sound is now to be dropped by [`super::Leg::cut`] and [`crate::playout::Playout::clear`].
    Interrupted(Overlap),
    /// The same, but what the agent says asks only to be told ([`crate::barge_in::Policy::Agent`]).
    BargeIn(Overlap),
    /// The agent's voice was lowered for a word in passing, and comes back.
    Backchannel(Overlap),
    /// Who has answered, and whether its machine takes a message; see [`super::Leg::detect`].
    WhoAnswered(Sign),
    /// After [`super::Leg::drain`]: all sound has left, and the peer has had time to play it.
    Drained,
    /// No RTP for the configured time though the peer should be sending. Told once, and again only after packets have come.
    MediaTimeout,
    /// Packets came from the peer's address that are not authentic, as forged ones are. Told at once and then every 10 s at most.
    Unauthentic {
        /// How many since it was told last.
        packets: u64,
    },
    /// A key has sealed as many packets as it may (RFC 3711 section 9.2): nothing is sent before there is another. Told once a key.
    KeyUsedUp,
}

/// When the peer's user spoke over the agent; places on the leg's timeline, 8 kHz.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Overlap {
    /// Where it began.
    pub since: u64,
    /// Where the timeline stood when it was decided.
    pub told: u64,
}
