//! One RTP leg: packets of the peer in, packets for the peer out, the agent's side in between.
//!
//! The engine asks [`crate::claim::ClaimTable`] whose packet it holds before it calls [`Leg::handle_rtp`]; a leg trusts that its packets are its
//! own. When the table says `Latched`, the engine calls [`Leg::follow`] first. After [`Leg::playout`] was given sound, or any verb was
//! called, the engine asks [`Leg::next_timeout`] again and calls [`Leg::handle_timeout`] if it lies in the past: that is how the first frame of a
//! talkspurt leaves at once.
mod agent;
mod agreed;
mod clocks;
mod counters;
mod hold;
mod keys;
mod partner;
mod passage;
mod receive;
mod relay;
mod secure;
mod send;
mod sink;
mod through;

use self::clocks::{HeardClock, SentClock};
use self::hold::Music;
use self::keys::Keys;
use self::passage::Passage;
use crate::barge_in::{self, BargeIn};
use crate::claim::{Policy, send_to};
use crate::clock::{Time, earliest};
use crate::codec::{Codec, Encoder};
use crate::melody::Melody;
use crate::playout::{Playout, PlayoutConfig};
use crate::regularity::Regularity;
use crate::rtp::Reception;
use crate::srtp::Protection;
use crate::stats::LegStats;
use crate::uplink::Uplink;
use crate::utterance::Utterances;
use crate::vad::{OwnVoice, Vad};
use crate::who_answered::{Stage, WhoAnswered};
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

pub use self::agreed::{DtmfBy, DtmfTones, RemoteMedia};
pub use self::sink::{LegEvent, LegSink, Overlap, SentFrame};
pub use crate::uplink::{Fill, UplinkFrame};

/// Mean time between RTCP reports (RFC 3550 section 6.2).
const RTCP_INTERVAL: Duration = Duration::from_secs(5);
/// A new SSRC is heard at once if the old one has been silent for so long.
const SSRC_SILENCE: Duration = Duration::from_millis(200);
/// Packets in sequence that a new SSRC needs while the old one is being heard.
const SSRC_PROBATION: u8 = 3;
/// A packet that leaves later than this against the leg's clock is counted.
const LATE: Duration = Duration::from_millis(5);
/// While we send no RTP, the way to the peer is kept open so often (RFC 6263 section 3).
const KEEP_OPEN: Duration = Duration::from_secs(15);
/// Frames sent by one call at most; the next call goes on.
const MAX_FRAMES_A_CALL: u32 = 8;
/// Payload types of one leg in each direction at most.
pub const MAX_PAYLOAD_TYPES: usize = 8;

/// What a leg is made with. The random values of RTP are arguments: `ssrc`, `first_sequence`, `first_timestamp`, `seed`.
#[derive(Clone, Debug)]
pub struct LegConfig {
    /// Our source id.
    pub ssrc: u32,
    /// Sequence number of the first packet.
    pub first_sequence: u16,
    /// Timestamp of the first packet.
    pub first_timestamp: u32,
    /// For the intervals of RTCP.
    pub seed: u64,
    /// Our name in RTCP, the same for all legs of a call; no personal data.
    pub cname: String,
    /// NTP time (seconds since 1900 in 32.32) at [`Time::ZERO`].
    pub ntp_at_zero: u64,
    /// No RTP for so long is told; `None` for never.
    pub media_timeout: Option<Duration>,
    /// Time between the last frame of a drained queue and `Drained`: the peer's buffer plays it out meanwhile.
    pub drain_linger: Duration,
    /// Which sources may be learned, and whether to send there.
    pub policy: Policy,
    /// The queue towards the caller.
    pub playout: PlayoutConfig,
}

/// What a payload type stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Unknown,
    Sound(Codec),
    Event,
    Noise,
}

#[derive(Debug)]
struct Contender {
    ssrc: u32,
    next_sequence: u16,
    in_sequence: u8,
}

/// Reports of the peer that ours refer to.
#[derive(Clone, Copy, Debug, Default)]
struct LastReport {
    ntp_middle: u32,
    at: Time,
}

/// One RTP leg.
#[derive(Debug)]
pub struct Leg {
    config: LegConfig,
    stats: Arc<LegStats>,
    remote: Option<RemoteMedia>,
    kinds: Box<[Kind; 128]>,
    uplink: Uplink,
    voice: Vad,
    own_voice: OwnVoice,
    who_answered: Option<Box<WhoAnswered>>,
    barge_in: BargeIn,
    /// What the caller's speech does to sound that doesn't say so itself: of utterances, and of no utterance.
    barge_in_policy: Option<barge_in::Policy>,
    utterances: Utterances,
    /// Where in all that was ever pushed the sound lies that nobody may interrupt, in units of the playout.
    prompts: Range<u64>,
    playout: Playout,
    keys: Keys,
    watches_tones: bool,
    reception: Option<Reception>,
    heard_clock: HeardClock,
    contender: Option<Contender>,
    /// Losses of the SSRCs before this one.
    lost_before: i64,
    /// The address that SDP named last, through a hold by 0.0.0.0 too.
    named: Option<SocketAddr>,
    source: Option<SocketAddr>,
    rtcp_source: Option<SocketAddr>,
    music: Music,
    started: bool,
    released: bool,
    release_at: Option<Time>,
    release_by_packet: bool,
    /// The peer is heard again after nobody has followed its stream: where that is by now, its next packet says.
    begins_anew: bool,
    /// Sound of a line that is heard on this one: an echo, or a partner.
    passage: Option<Box<Passage>>,
    encoder: Encoder,
    regularity: Regularity,
    sequence: u16,
    /// Of the last frame, in ticks.
    timestamp: u32,
    sent_clock: SentClock,
    /// Nothing was sent at the last tick: the next packet begins anew.
    paused: bool,
    first_audio_told: bool,
    /// When anything was sent last on the way that RTP takes.
    last_sent: Option<Time>,
    last_packet: Option<Time>,
    timeout_from: Option<Time>,
    next_rtcp: Option<Time>,
    sent_at_last_report: u64,
    last_report: Option<LastReport>,
    protection: Protection,
    unauthentic: secure::Unauthentic,
    key_used_up_told: bool,
    random: u64,
}

impl Leg {
    /// A leg that neither sends nor passes on anything yet.
    pub fn new(config: LegConfig, _now: Time) -> Self {
        let playout = Playout::new(config.playout);
        Leg {
            stats: Arc::default(),
            remote: None,
            kinds: Box::new([Kind::Unknown; 128]),
            uplink: Uplink::new(config.playout.codec),
            voice: Vad::new(),
            own_voice: OwnVoice::new(),
            who_answered: None,
            barge_in: BargeIn::default(),
            barge_in_policy: None,
            utterances: Utterances::default(),
            prompts: 0..0,
            keys: Keys::new(),
            watches_tones: false,
            reception: None,
            heard_clock: HeardClock::default(),
            contender: None,
            lost_before: 0,
            named: None,
            source: None,
            rtcp_source: None,
            music: Music::default(),
            started: false,
            released: false,
            release_at: None,
            release_by_packet: false,
            begins_anew: false,
            passage: None,
            encoder: Encoder::new(config.playout.codec),
            regularity: Regularity::default(),
            sequence: config.first_sequence,
            // Playout steps by a frame before the first one.
            timestamp: config.first_timestamp.wrapping_sub(playout.frame_ticks()),
            sent_clock: SentClock::new(config.first_timestamp),
            paused: false,
            first_audio_told: false,
            last_sent: None,
            last_packet: None,
            timeout_from: None,
            next_rtcp: None,
            sent_at_last_report: 0,
            last_report: None,
            protection: Protection::default(),
            unauthentic: secure::Unauthentic::default(),
            key_used_up_told: false,
            random: config.seed | 1,
            playout,
            config,
        }
    }

    /// Which sources may be learned and where may be sent, where the trunk was not known yet when the leg was made.
    pub fn set_policy(&mut self, policy: Policy) {
        self.config.policy = policy;
    }

    /// What was negotiated, at first or again. SSRC, sequence numbers and timestamps run on; what waits is played in the new codec.
    pub fn set_remote(&mut self, now: Time, remote: &RemoteMedia) {
        self.protection.set(now, remote.srtp.as_ref());
        self.key_used_up_told = false;
        let before = self.playout.frame_ticks();
        if remote.codec != self.encoder.codec() {
            self.end_passing(now, false);
            self.encoder = Encoder::new(remote.codec);
        }
        self.encoder.set_opus(remote.opus);
        self.playout.set_format(remote.codec, remote.ptime_ms);
        if !self.started {
            self.timestamp = self
                .timestamp
                .wrapping_add(before)
                .wrapping_sub(self.playout.frame_ticks());
        }
        let next = self.timestamp.wrapping_add(self.playout.frame_ticks());
        self.sent_clock.set_rate(next, remote.codec.rtp_clock());
        self.keys.set_event_clock(remote.codec.rtp_clock());
        self.kinds.fill(Kind::Unknown);
        let mut assign =
            |payload_type: u8, kind| self.kinds[usize::from(payload_type & 0x7f)] = kind;
        remote
            .comfort_noise
            .into_iter()
            .for_each(|kind| assign(kind, Kind::Noise));
        for &(payload_type, codec) in remote.receive_types.iter().take(MAX_PAYLOAD_TYPES) {
            assign(payload_type, Kind::Sound(codec));
        }
        self.uplink.expect(remote.codecs());
        remote
            .dtmf_receive
            .iter()
            .take(MAX_PAYLOAD_TYPES)
            .for_each(|&kind| assign(kind, Kind::Event));
        match (self.is_heard(), remote.is_heard()) {
            (false, true) => {
                self.begins_anew = true;
                self.timeout_from = self.started.then_some(now);
            }
            // Noise that the peer has described for a pause is not what it sends now.
            (true, false) => self.uplink.end_pause(),
            _ => {}
        }
        let moves = |rtp: &SocketAddr| self.named.is_some_and(|named| named != *rtp);
        if remote.rtp.as_ref().is_some_and(moves) {
            // The learned source belonged to the old address; the claim finds the new one.
            self.source = None;
            self.rtcp_source = None;
        }
        self.named = remote.rtp.or(self.named);
        self.remote = Some(remote.clone());
        self.expect_own();
        self.settle_playout();
        self.listen_for_keys();
    }

    /// RTP flows from here, silence first; the agent's timeline begins.
    ///
    /// The agent's sound waits for [`Leg::release`]; with `release_after` also for the first packet of the peer or that much time, whichever is first.
    ///
    /// A second time, the call is answered after early media: the peer's media is missed from here, and the agent's sound waits again,
    /// but not with a `release_after` of zero: then it goes on without a pause.
    pub fn start(&mut self, now: Time, release_after: Option<Duration>) {
        self.timeout_from = Some(now);
        if self.started {
            self.first_audio_told = false;
            if release_after == Some(Duration::ZERO) {
                return;
            }
            self.released = false;
            self.playout.set_open(false);
        } else {
            self.started = true;
            self.playout.start(now);
            self.uplink.start(now);
            self.next_rtcp = Some(now + self.rtcp_interval() / 2);
        }
        self.release_by_packet = release_after.is_some();
        self.release_at = release_after.map(|after| now + after);
        if self.release_by_packet && self.last_packet.is_some() {
            self.release(now);
        }
    }

    /// The agent's sound may leave.
    pub fn release(&mut self, _now: Time) {
        self.released = true;
        self.release_at = None;
        self.settle_playout();
    }

    /// The agent's sound may leave, unless digits are being keyed or nobody would hear it.
    fn settle_playout(&mut self) {
        let due = self.keys.are_due(self.playout.left());
        let open = self.released && !due && !self.is_held();
        self.playout.set_open(open);
    }

    /// Whether the call is on hold, by either side.
    pub fn is_held(&self) -> bool {
        self.remote.as_ref().is_some_and(|remote| remote.hold)
    }

    /// Whether RTP may be sent, and we know where to.
    fn may_send(&self) -> bool {
        let sends = self.remote.as_ref().is_some_and(|remote| remote.send);
        sends && self.rtp_target().is_some()
    }

    /// Whether what the peer sends is heard.
    fn is_heard(&self) -> bool {
        self.remote.as_ref().is_some_and(RemoteMedia::is_heard)
    }

    /// What the peer hears while we hold it; `None` for silence.
    pub fn set_music(&mut self, melody: Option<Arc<Melody>>) {
        self.music.set(melody);
    }

    /// Whether the agent's sound may leave.
    pub fn is_released(&self) -> bool {
        self.released
    }

    /// Listens for who has answered, from the next sound on and for `limit_ms` at most; `None` for no longer. One that listens begins anew.
    pub fn detect(&mut self, stage: Option<Stage>, limit_ms: u32) {
        self.who_answered = stage.map(|stage| Box::new(WhoAnswered::new(stage, limit_ms)));
    }

    /// The claim has latched to another source: we may have to send there.
    pub fn follow(&mut self, _now: Time, source: SocketAddr, sink: &mut impl LegSink) {
        if self.source.is_some_and(|old| old != source) {
            self.stats.received_source_changes.add(1);
            sink.event(LegEvent::SourceChanged { source });
        }
        self.source = Some(source);
    }

    /// RTCP comes from here; it is learned apart from RTP.
    pub fn follow_rtcp(&mut self, source: SocketAddr) {
        self.rtcp_source = Some(source);
    }

    /// Where RTP is sent now.
    pub fn rtp_target(&self) -> Option<SocketAddr> {
        let sdp = self.remote.as_ref()?.rtp;
        match sdp {
            Some(sdp) => send_to(sdp, self.source, &self.config.policy),
            None => None,
        }
    }

    /// Where RTCP is sent now.
    pub fn rtcp_target(&self) -> Option<SocketAddr> {
        let remote = self.remote.as_ref()?;
        if remote.rtcp_mux {
            return self.rtp_target();
        }
        // The zone of a link-local address stays.
        let above = |mut address: SocketAddr| {
            address.set_port(address.port().saturating_add(1));
            address
        };
        let sdp = remote.rtcp.or(remote.rtp.map(above))?;
        send_to(
            sdp,
            self.rtcp_source.or(self.source.map(above)),
            &self.config.policy,
        )
    }

    /// When [`Leg::handle_timeout`] has something to do; the past means now.
    pub fn next_timeout(&self) -> Option<Time> {
        let drained = self.drained_at();
        [
            self.playout.next_timeout(),
            self.uplink.next_timeout(),
            self.passage
                .as_ref()
                .and_then(|passage| passage.next_timeout()),
            self.keys.next_timeout(),
            self.release_at,
            self.next_rtcp,
            self.media_timeout_at(),
            drained,
        ]
        .into_iter()
        .fold(None, earliest)
    }

    fn drained_at(&self) -> Option<Time> {
        let drained = self
            .playout
            .drained_at()
            // Where we may not send, keys wait for nobody knows how long: a hang-up doesn't.
            .filter(|_| !(self.keys.are_pressed() && self.may_send()))?;
        Some(drained + self.config.drain_linger)
    }

    fn media_timeout_at(&self) -> Option<Time> {
        Some(self.timeout_from.filter(|_| self.is_heard())? + self.config.media_timeout?)
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Time, sink: &mut impl LegSink) {
        if self.release_at.is_some_and(|at| at <= now) {
            self.release(now);
        }
        self.hear(now, sink, |uplink, out| uplink.handle_timeout(now, out));
        self.hear_passage(now);
        self.end_lost_events(now, sink);
        if self.drained_at().is_some_and(|at| at <= now) {
            self.playout.drained();
            sink.event(LegEvent::Drained);
        }
        self.send_frames(now, sink);
        if self.media_timeout_at().is_some_and(|at| at <= now) {
            self.timeout_from = None;
            sink.event(LegEvent::MediaTimeout);
        }
        if self.next_rtcp.is_some_and(|at| at <= now) {
            self.next_rtcp = Some(now + self.rtcp_interval());
            self.report(now, false, sink);
        }
        self.publish();
    }

    /// The leg ends: BYE by RTCP, if the peer ever heard us. To be called once.
    pub fn close(&mut self, now: Time, sink: &mut impl LegSink) {
        self.barge_in.end(sink.listeners());
        if self.started && (self.stats.sent_packets.get() > 0 || self.stats.rtcp_sent.get() > 0) {
            self.report(now, true, sink);
        }
        self.next_rtcp = None;
        self.publish();
    }
}
