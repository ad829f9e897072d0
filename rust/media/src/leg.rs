//! One RTP leg: packets of the peer in, packets for the peer out, the agent's side in between.
//!
//! The engine asks [`crate::claim::ClaimTable`] whose packet it holds before it calls [`Leg::handle_rtp`]; a leg trusts that its packets are its
//! own. When the table says `Latched`, the engine calls [`Leg::follow`] first. After [`Leg::playout`] was given sound, or any verb was
//! called, the engine asks [`Leg::next_timeout`] again and calls [`Leg::handle_timeout`] if it lies in the past: that is how the first frame of a
//! talkspurt leaves at once.
mod echo;
mod hold;
mod keys;
mod receive;
mod secure;
mod send;

use self::echo::Echo;
use self::hold::Music;
use self::keys::Keys;
use crate::barge_in::{self, BargeIn};
use crate::claim::{Policy, send_to};
use crate::clock::{Time, duration_of, earliest};
use crate::codec::{Codec, Encoder};
use crate::convert::AudioFormat;
use crate::melody::Melody;
use crate::playout::{LINE_RATE, MarkId, Playout, PlayoutConfig};
use crate::presses::PressedBy;
use crate::regularity::Regularity;
use crate::rtp::Reception;
use crate::srtp::{Protection, SrtpKeys};
use crate::stats::{LegSnapshot, LegStats};
use crate::telephone_event::Digit;
use crate::tones::Likeness;
use crate::uplink::Uplink;
use crate::utterance::{Cut, Utterance, Utterances};
use crate::vad::listeners::Listeners;
use crate::vad::{OwnVoice, Speech, Vad};
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

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

/// Where a leg's output goes. Nothing is allocated on the way.
pub trait LegSink {
    /// The caller's sound, in order.
    fn audio(&mut self, frame: UplinkFrame<'_>);
    /// The frame that follows is so much like a key's tones, and the 60 ms before it may have been; see [`Leg::watch_tones`].
    fn tone(&mut self, likeness: Likeness) {
        let _ = likeness;
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
    /// The sound of the packet that was sent just now.
    fn sent(&mut self, frame: SentFrame<'_>) {
        let _ = frame;
    }
}

/// The sound of a packet that has left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SentFrame<'a> {
    /// Where it begins on the RTP clock of what we send.
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
    /// It is sure that the peer's user speaks over the agent, whose sound is now to be dropped by [`Leg::cut`] and [`Playout::clear`].
    Interrupted(Overlap),
    /// The same, but what the agent says asks only to be told ([`barge_in::Policy::Agent`]).
    BargeIn(Overlap),
    /// The agent's voice was lowered for a word in passing, and comes back.
    Backchannel(Overlap),
    /// After [`Leg::drain`]: all sound has left, and the peer has had time to play it.
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

/// What offer and answer came to, seen from us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteMedia {
    /// The peer's address for RTP by SDP; `None` where it names none (0.0.0.0).
    pub rtp: Option<SocketAddr>,
    /// The peer's address for RTCP; `None` means the port above RTP's.
    pub rtcp: Option<SocketAddr>,
    /// RTCP goes where RTP goes, both ways (RFC 5761).
    pub rtcp_mux: bool,
    /// The codec that we send.
    pub codec: Codec,
    /// Its payload type at the peer.
    pub payload_type: u8,
    /// Payload types that we receive, at most [`MAX_PAYLOAD_TYPES`]; more are ignored.
    pub receive_types: Vec<(u8, Codec)>,
    /// Payload type of telephone events that we send.
    pub dtmf_send: Option<u8>,
    /// How the peer is told of keys that we press.
    pub dtmf_by: DtmfBy,
    /// What tones in the peer's sound are.
    pub dtmf_tones: DtmfTones,
    /// Payload types of telephone events that we receive, at most [`MAX_PAYLOAD_TYPES`]; more are ignored.
    pub dtmf_receive: Vec<u8>,
    /// Payload type of comfort noise that we may receive, 13 by RFC 3389.
    pub comfort_noise: Option<u8>,
    /// Milliseconds in a packet that we send.
    pub ptime_ms: u32,
    /// Whether we send.
    pub send: bool,
    /// Whether the peer may send to us.
    pub receive: bool,
    /// Whether the call is on hold, by either side: no time-out of media, no sound of the peer is heard, the agent's waits, and if we send,
    /// it is music.
    pub hold: bool,
    /// The keys of both directions; `None` where media goes in the clear.
    pub srtp: Option<SrtpKeys>,
}

impl RemoteMedia {
    /// One codec both ways, packets of 20 ms, in the clear: what is further agreed on is put in its place.
    pub fn plain(rtp: SocketAddr, payload_type: u8, codec: Codec) -> Self {
        RemoteMedia {
            rtp: Some(rtp),
            rtcp: None,
            rtcp_mux: false,
            codec,
            payload_type,
            receive_types: vec![(payload_type, codec)],
            dtmf_send: None,
            dtmf_by: DtmfBy::Event,
            dtmf_tones: DtmfTones::Ignored,
            dtmf_receive: Vec::new(),
            comfort_noise: None,
            ptime_ms: 20,
            send: true,
            receive: true,
            hold: false,
            srtp: None,
        }
    }

    /// Whether what the peer sends is heard.
    fn is_heard(&self) -> bool {
        self.receive && !self.hold
    }

    /// What the peer may send.
    fn codecs(&self) -> impl Iterator<Item = Codec> {
        let types = self.receive_types.iter().take(MAX_PAYLOAD_TYPES);
        types.map(|&(_, codec)| codec)
    }

    /// Payload types that may be received, a bit each, as [`crate::claim::ClaimTable::set_remote`] wants them.
    pub fn payload_type_bits(&self) -> u128 {
        let types = self
            .receive_types
            .iter()
            .map(|&(payload_type, _)| payload_type);
        types
            .chain(self.dtmf_receive.iter().copied())
            .chain(self.comfort_noise)
            .fold(0, |bits, kind| bits | 1 << (kind & 0x7f))
    }
}

/// How the peer is told of keys that we press.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DtmfBy {
    /// By telephone events (RFC 4733), if there is a payload type for them.
    Event,
    /// By their tones in the sound.
    Tone,
    /// By SIP INFO, of which signalling takes care: [`LegEvent::KeyByInfo`].
    Info,
}

/// What the tones of keys in the peer's sound are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DtmfTones {
    /// Sound as any other.
    Ignored,
    /// Keys that its user presses.
    Heard,
    /// The same, and the agent is given silence in their place.
    Removed,
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
    echo: Option<Box<Echo>>,
    encoder: Encoder,
    regularity: Regularity,
    sequence: u16,
    timestamp: u32,
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
            barge_in: BargeIn::default(),
            barge_in_policy: None,
            utterances: Utterances::default(),
            prompts: 0..0,
            keys: Keys::new(),
            watches_tones: false,
            reception: None,
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
            echo: None,
            encoder: Encoder::new(config.playout.codec),
            regularity: Regularity::default(),
            sequence: config.first_sequence,
            // Playout steps by a frame before the first one.
            timestamp: config.first_timestamp.wrapping_sub(playout.frame_ticks()),
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

    /// The leg's counters, to be read by any thread.
    pub fn shared_stats(&self) -> Arc<LegStats> {
        Arc::clone(&self.stats)
    }

    /// The counters now.
    pub fn stats(&self) -> LegSnapshot {
        self.stats.snapshot()
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
            self.encoder = Encoder::new(remote.codec);
        }
        self.playout.set_format(remote.codec, remote.ptime_ms);
        if !self.started {
            self.timestamp = self
                .timestamp
                .wrapping_add(before)
                .wrapping_sub(self.playout.frame_ticks());
        }
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
        if let Some(echo) = &mut self.echo {
            echo.expect(remote.codecs());
        }
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

    /// Whether what the peer sends is heard.
    fn is_heard(&self) -> bool {
        self.remote.as_ref().is_some_and(RemoteMedia::is_heard)
    }

    /// What the peer hears while we hold it; `None` for silence.
    pub fn set_music(&mut self, melody: Option<Arc<Melody>>) {
        self.music.set(melody);
    }

    /// Whether any sound of the agent's waits or is being played.
    pub fn has_sound(&self) -> bool {
        self.playout.is_speaking()
            || self.playout.waiting_samples() > 0
            || !self.utterances.names(self.playout.left()).is_empty()
    }

    /// Whether the agent's sound may leave.
    pub fn is_released(&self) -> bool {
        self.released
    }

    /// Sends the caller's sound back to the caller, beside giving it to the sink.
    pub fn set_echo(&mut self, on: bool) {
        if on && self.echo.is_none() {
            let remote = self.remote.as_ref();
            self.echo = Some(Box::new(Echo::new(
                remote.into_iter().flat_map(RemoteMedia::codecs),
            )));
        } else if !on {
            self.echo = None;
        }
        self.playout.set_live(on);
    }

    /// The queue towards the caller.
    pub fn playout(&mut self) -> &mut Playout {
        &mut self.playout
    }

    /// The queue towards the caller, to be looked at.
    pub fn playout_state(&self) -> &Playout {
        &self.playout
    }

    /// Whether the peer's user speaks.
    pub fn voice(&self) -> &Vad {
        &self.voice
    }

    /// What is done when the peer's user speaks over sound that doesn't say so itself. `None` is the default: utterances are lowered, then
    /// decided upon, and sound of no utterance is left alone, since its agent knows of no interruption.
    pub fn set_barge_in(&mut self, policy: Option<barge_in::Policy>) {
        self.barge_in_policy = policy;
    }

    /// Appends sound that is not the agent's: the peer's user interrupts it by nothing.
    pub fn push_prompt(&mut self, now: Time, sound: &[u8]) {
        let begin = self.playout.end();
        if self.prompts.end <= self.playout.left() {
            self.prompts.start = begin;
        }
        self.playout.push(now, sound);
        self.prompts.end = self.playout.end();
    }

    /// Sound that is pushed from here on belongs to this. `false` if too many utterances wait.
    pub fn begin_utterance(&mut self, utterance: Utterance) -> bool {
        let (left, end) = (self.playout.left(), self.playout.end());
        self.utterances.begin(utterance, left, end)
    }

    /// The last utterance is complete: sound that is pushed from here on belongs to none.
    pub fn end_utterance(&mut self) {
        self.utterances.end(self.playout.end());
    }

    /// The name of the utterance that sound pushed now belongs to.
    pub fn open_utterance(&self) -> Option<&str> {
        self.utterances.open()
    }

    /// The name of the utterance that leaves now; empty if the sound belongs to none.
    pub fn current_utterance(&self) -> &str {
        self.utterances.current(self.playout.left())
    }

    /// The names of the utterances that wait or are being played.
    pub fn utterance_names(&self) -> Vec<String> {
        self.utterances.names(self.playout.left())
    }

    /// Sound that came after its utterance had been interrupted was dropped.
    pub fn count_stale(&mut self, millis: u64) {
        self.stats.stale_ms.add(millis);
    }

    /// What was heard of which utterance, just before [`Playout::clear`]; all utterances end. `None` if none was playing or waiting.
    pub fn cut(&mut self) -> Option<Cut> {
        self.utterances.cut(self.playout.left(), self.playout.end())
    }

    /// Tells [`LegEvent::Drained`] when all sound has left.
    pub fn drain(&mut self) {
        self.playout.drain();
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

    /// A packet for this leg's port came from a source that its claim refuses.
    pub fn count_refused(&self, rtcp: bool) {
        if rtcp {
            self.stats.rtcp_refused.add(1)
        } else {
            self.stats.received_wrong_source.add(1)
        }
    }

    /// An RTP packet of ours was answered by an ICMP error.
    pub fn count_unreachable(&self) {
        self.stats.sent_unreachable.add(1);
    }

    /// A packet that was counted as refused was this leg's after all.
    pub fn count_claimed(&self) {
        let refused = &self.stats.received_wrong_source;
        refused.set(refused.get().saturating_sub(1));
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
            self.echo.as_ref().and_then(|echo| echo.next_timeout()),
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
            .filter(|_| !self.keys.are_pressed())?;
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
        if let Some(echo) = &mut self.echo {
            echo.handle_timeout(now, &mut self.playout);
        }
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

    /// Writes the counters that other parts keep.
    fn publish(&self) {
        let uplink = self.uplink.counts();
        self.stats.received_late.set(uplink.late);
        self.stats.received_leaps.set(uplink.jumps);
        self.stats.received_bad_comfort_noise.set(uplink.bad_noise);
        self.stats.concealed_frames.set(uplink.concealed_frames);
        self.stats.noise_frames.set(uplink.noise_frames);
        self.stats.silence_frames.set(uplink.silence_frames);
        self.stats
            .won_back_ms
            .set(uplink.won_back * 1_000 / u64::from(LINE_RATE));
        let spoken = duration_of(self.voice.spoken(), LINE_RATE);
        self.stats.speech_ms.set(spoken.as_millis() as u64);
        let noise = self.voice.noise_level().unwrap_or(0);
        self.stats.noise_level.set(noise.into());
        if let Some(echo) = &self.echo {
            let counts = echo.counts();
            let millis = |ticks: u64| ticks * 1_000 / u64::from(LINE_RATE);
            self.stats
                .jitter_delay_us
                .set(echo.delay().as_micros() as u64);
            self.stats
                .jitter_concealed_frames
                .set(counts.concealed_frames);
            self.stats.jitter_late.set(counts.late);
            self.stats.jitter_dropped.set(counts.dropped);
            self.stats.jitter_shortened_ms.set(millis(counts.shortened));
            self.stats
                .jitter_lengthened_ms
                .set(millis(counts.lengthened));
        }
        let playout = self.playout.counts();
        self.stats.playout_underruns.set(playout.underruns);
        self.stats.playout_dropped_bytes.set(playout.dropped_bytes);
        self.stats
            .playout_trimmed_frames
            .set(playout.trimmed_frames);
        self.stats.playout_peak_bytes.set(playout.peak_bytes);
        self.stats
            .playout_cushion_us
            .set(self.playout.cushion().as_micros() as u64);
    }
}
