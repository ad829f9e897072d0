//! The media side of one call: its sockets, its place in time, what it sends and hears.

use super::ledger::{Ledger, Tally, Verdict};
use super::stream::{Continuity, Regularity, Stream};
use crate::codec::{Codec, Wideband};
use crate::histogram::Histogram;
use crate::mark::{Alphabet, Heard, MODULUS, Mark, MarkReader};
use crate::rtp::{self, FRAME, HEADER, Packet};
use crate::sdp::Audio;
use crate::srtp::{Keying, Opener, Sealer};
use crate::sys::{self, Arrival, Epoll};
use serde_json::{Value, json};
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::ops::Range;

/// Frames between two sender reports.
const REPORT_EVERY: u32 = 250;

/// How all calls of a run speak.
#[derive(Clone, Copy, Debug)]
pub struct Speech {
    /// Codec of all calls.
    pub codec: Codec,
    /// Frames of a talkspurt.
    pub talk: u32,
    /// Frames of silence after it; 0 speaks without end.
    pub pause: u32,
    /// Whether sender reports are sent.
    pub reports: bool,
}

/// What the media of all calls came to.
#[derive(Default)]
pub struct Totals {
    /// Regularity of the far end's packets.
    pub regularity: Regularity,
    /// Frame sent to the same frame back, in the steady window.
    pub round_trip: Histogram,
    /// The same over all of each call.
    pub round_trip_overall: Histogram,
    /// The same for the first frame heard of each talkspurt.
    pub first_frame: Histogram,
    /// 200 to the first RTP packet.
    pub answer_to_rtp: Histogram,
    /// 200 to the first of our frames back.
    pub answer_to_echo: Histogram,
    /// Frames of another call.
    pub wrong_call: u64,
    /// Sound that happens to read like a frame of another call: one in 32 of what was joined or concealed does.
    pub misread: u64,
    /// Answers that describe no audio.
    pub silent_answers: u64,
    /// Answers that prefer another codec than the one offered.
    pub wrong_answers: u64,
    /// Packets sent.
    pub sent: u64,
    /// Sends that failed.
    pub send_errors: u64,
    /// How late our own packets left.
    pub lateness: Histogram,
}

/// Opens a pair of ports, the even one for RTP, from `range` on; moves `range` behind it.
fn open_ports(ip: IpAddr, range: &mut Range<u16>) -> io::Result<(UdpSocket, UdpSocket)> {
    while range.start + 1 < range.end {
        let port = range.start;
        range.start += 2;
        let pair = UdpSocket::bind(SocketAddr::new(ip, port))
            .and_then(|rtp| Ok((rtp, UdpSocket::bind(SocketAddr::new(ip, port + 1))?)));
        match pair {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            other => return other,
        }
    }
    Err(io::Error::new(
        io::ErrorKind::AddrNotAvailable,
        "no RTP port is left; widen --rtp-ports",
    ))
}

/// One call's media.
pub struct Line {
    rtp: UdpSocket,
    rtcp: UdpSocket,
    /// Where its RTP arrives.
    pub local: SocketAddr,
    remote: Option<SocketAddr>,
    silent: bool,
    answered_at: u64,
    first_rtp_at: u64,
    frames: u32,
    sequence: u16,
    timestamp: u32,
    ssrc: u32,
    call: u16,
    ledger: Ledger,
    /// The last that read like a frame of another call.
    stranger: Option<Heard>,
    reader: MarkReader,
    stream: Stream,
    wideband: Option<Wideband>,
    sealer: Option<Sealer>,
    opener: Option<Opener>,
    packet: Vec<u8>,
}

impl Line {
    /// Opens the sockets of call `index` and adds them to a set as `2 + 2 * index` and the next number.
    pub fn open(index: u32, ip: IpAddr, ports: &mut Range<u16>, epoll: &Epoll) -> io::Result<Self> {
        let (rtp, rtcp) = open_ports(ip, ports)?;
        sys::stamp_arrivals(&rtp)?;
        let token = 2 + 2 * u64::from(index);
        epoll.add(&rtp, token, sys::READABLE)?;
        epoll.add(&rtcp, token + 1, sys::READABLE)?;
        let local = rtp.local_addr()?;
        Ok(Self {
            rtp,
            rtcp,
            local,
            remote: None,
            silent: false,
            answered_at: 0,
            first_rtp_at: 0,
            frames: 0,
            // Starts that tell calls apart in a capture and come near the wrap in some.
            sequence: (index.wrapping_mul(2_503) & 0xffff) as u16,
            timestamp: index.wrapping_mul(0x0a3c_59ac),
            ssrc: 0xbe00_0000 | index,
            call: (index % MODULUS) as u16,
            ledger: Ledger::default(),
            stranger: None,
            reader: MarkReader::default(),
            stream: Stream::default(),
            wideband: None,
            sealer: None,
            opener: None,
            packet: Vec::new(),
        })
    }

    /// The same line with what it takes to speak this codec, and to encrypt with `keys`.
    pub fn speaking(mut self, codec: Codec, keys: Option<&Keying>) -> Self {
        self.wideband = (codec == Codec::G722).then(Wideband::default);
        self.sealer = keys.map(Sealer::new);
        self
    }

    /// Port of its RTCP.
    pub fn rtcp_port(&self) -> u16 {
        self.local.port() + 1
    }

    /// The call was answered: from now on it sends there.
    pub fn answered(&mut self, audio: &Audio, at: u64) {
        self.remote = Some(audio.address);
        self.opener = audio.keys.as_ref().map(Opener::new);
        self.answered_at = at;
    }

    /// The far end moved.
    pub fn moved(&mut self, remote: SocketAddr) {
        self.remote = Some(remote);
    }

    /// Whether a packet is to be sent every 20 ms.
    pub fn is_sending(&self) -> bool {
        self.remote.is_some()
    }

    /// Sends silence from now on; what is on its way is still heard. Frames that simply stopped would be a loss to the
    /// far end, which fills losses in and so tears the last frame apart.
    pub fn fall_silent(&mut self) {
        self.silent = true;
    }

    /// Sends nothing from now on.
    pub fn stop(&mut self) {
        self.remote = None;
    }

    /// Sends the next frame, which was due at `due`.
    pub fn send(
        &mut self,
        speech: &Speech,
        alphabet: &Alphabet,
        due: u64,
        wall_offset: u64,
        totals: &mut Totals,
    ) {
        let Some(remote) = self.remote else { return };
        let bytes = &mut self.packet;
        bytes.clear();
        bytes.resize(HEADER + FRAME, 0);
        let place = if speech.pause == 0 {
            self.frames
        } else {
            self.frames % (speech.talk + speech.pause)
        };
        let talking = !self.silent && (speech.pause == 0 || place < speech.talk);
        rtp::write_header(
            bytes,
            speech.codec.payload_type(),
            talking && place == 0,
            self.sequence,
            self.timestamp,
            self.ssrc,
        );
        if talking {
            if place == 0 {
                self.ledger.start_spurt();
            }
            let frame = (self.ledger.next() % MODULUS) as u16;
            alphabet.write(
                Mark {
                    call: self.call,
                    frame,
                },
                &mut bytes[HEADER..],
            );
        } else {
            bytes[HEADER..].fill(speech.codec.law().silence());
        }
        if let Some(wideband) = &mut self.wideband {
            wideband.encode(&mut bytes[HEADER..]);
        }
        if let Some(sealer) = &mut self.sealer {
            sealer.rtp(bytes);
        }
        let now = sys::now();
        if self.rtp.send_to(bytes, remote).is_err() {
            totals.send_errors += 1;
        }
        if talking {
            self.ledger.sent(now);
        }
        totals.sent += 1;
        totals.lateness.record(now.saturating_sub(due));
        self.frames += 1;
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(FRAME as u32);
        if speech.reports && self.frames % REPORT_EVERY == u32::from(self.call) % REPORT_EVERY {
            let mut report = rtp::sender_report(
                self.ssrc,
                now + wall_offset,
                self.timestamp,
                self.frames,
                "offhook-bench",
            );
            if let Some(sealer) = &mut self.sealer {
                sealer.rtcp(&mut report);
            }
            let _ = self.rtcp.send_to(
                &report,
                SocketAddr::new(remote.ip(), remote.port().wrapping_add(1)),
            );
        }
    }

    /// Reads one packet of the RTCP socket.
    pub fn receive_rtcp(&mut self, totals: &mut Totals) {
        let mut buffer = [0; 2_048];
        if let Ok(Arrival { len, .. }) = sys::receive_stamped(&self.rtcp, &mut buffer) {
            if rtp::is_rtcp(&buffer[..len]) {
                totals.regularity.rtcp += 1
            } else {
                totals.regularity.garbage += 1
            }
        }
    }

    /// Reads one packet of the RTP socket.
    pub fn receive(
        &mut self,
        speech: &Speech,
        alphabet: &Alphabet,
        wall_offset: u64,
        steady: bool,
        totals: &mut Totals,
    ) {
        let mut buffer = [0; 2_048];
        let Ok(arrival) = sys::receive_stamped(&self.rtp, &mut buffer) else {
            return;
        };
        let bytes = &mut buffer[..arrival.len];
        if rtp::is_rtcp(bytes) {
            totals.regularity.rtcp += 1;
            return;
        }
        let plain: &[u8] = match &mut self.opener {
            None => bytes,
            Some(opener) => match opener.rtp(bytes) {
                Some(plain) => plain,
                None => {
                    totals.regularity.unauthentic += 1;
                    return;
                }
            },
        };
        let Some(packet) = Packet::parse(plain) else {
            totals.regularity.garbage += 1;
            return;
        };
        if self.remote.is_some_and(|remote| remote != arrival.source) {
            totals.regularity.wrong_source += 1;
        }
        if packet.payload_type != speech.codec.payload_type() {
            totals.regularity.wrong_payload_type += 1;
            return;
        }
        let at = arrival.stamp.saturating_sub(wall_offset);
        if self.first_rtp_at == 0 {
            self.first_rtp_at = at;
        }
        match self
            .stream
            .receive(&packet, at, steady, &mut totals.regularity)
        {
            Continuity::Next => {}
            Continuity::Fresh | Continuity::Late => self.reader.interrupt(),
        }
        let (call, answered_at, ledger) = (self.call, self.answered_at, &mut self.ledger);
        let stranger = &mut self.stranger;
        let heard = match &mut self.wideband {
            Some(wideband) => wideband.decode(packet.payload),
            None => packet.payload,
        };
        self.reader
            .receive(alphabet, heard, at, packet.timestamp, |heard| {
                if heard.mark.call != call {
                    let before = stranger.replace(heard);
                    if heard.exact || before.is_some_and(|before| heard.follows(&before)) {
                        totals.wrong_call += 1;
                    } else {
                        totals.misread += 1;
                    }
                    return;
                }
                let nothing_before = ledger.tally.heard == 0;
                if let Verdict::Back { delay, first } = ledger.heard(&heard) {
                    totals.round_trip_overall.record(delay);
                    if steady {
                        totals.round_trip.record(delay);
                    }
                    if first {
                        totals.first_frame.record(delay);
                    }
                    if nothing_before {
                        totals
                            .answer_to_echo
                            .record(heard.at.saturating_sub(answered_at));
                    }
                }
            });
    }

    /// No more is heard; what its frames came to.
    pub fn close(&mut self, totals: &mut Totals) -> Tally {
        // The first packet may be read before the 200 that it follows.
        if self.first_rtp_at > 0 && self.answered_at > 0 {
            totals
                .answer_to_rtp
                .record(self.first_rtp_at.saturating_sub(self.answered_at));
        }
        self.ledger.close();
        self.ledger.tally
    }
}

impl Totals {
    /// Everything measured, with the frames of all calls as `tallies`.
    pub fn to_json(&self, tallies: &[Tally]) -> Value {
        let sum = |part: fn(&Tally) -> u64| tallies.iter().map(part).sum::<u64>();
        let calls = |condition: fn(&&Tally) -> bool| tallies.iter().filter(condition).count();
        let first_losses: Vec<_> = tallies
            .iter()
            .enumerate()
            .filter_map(|(call, tally)| Some(json!([call, tally.first_lost?])))
            .take(10)
            .collect();
        let regularity = &self.regularity;
        json!({
            "echo": {
                "round_trip": self.round_trip.to_json(),
                "round_trip_overall": self.round_trip_overall.to_json(),
                "first_frame": self.first_frame.to_json(),
                "answer_to_first_rtp": self.answer_to_rtp.to_json(),
                "answer_to_first_echo": self.answer_to_echo.to_json(),
                "frames_sent": sum(|tally| tally.sent),
                "frames_back": sum(|tally| tally.heard),
                "lost": sum(|tally| tally.lost),
                "lost_before_first_heard": sum(|tally| tally.lost_at_start),
                "duplicates": sum(|tally| tally.duplicates),
                "reordered": sum(|tally| tally.reordered),
                "of_another_call": self.wrong_call,
                "misread": self.misread,
                "stale": sum(|tally| tally.stale),
                "altered": sum(|tally| tally.altered),
                "insertions": sum(|tally| tally.insertions),
                "inserted_ms": sum(|tally| tally.inserted_samples) / 8,
                "cuts": sum(|tally| tally.cuts),
                "first_losses": first_losses,
                "calls_with_loss": calls(|tally| tally.lost > 0),
                "calls_with_insertions": calls(|tally| tally.insertions > 0),
                "calls_without_any_echo": calls(|tally| tally.sent > 0 && tally.heard == 0),
            },
            "far_end_rtp": {
                "packets": regularity.packets,
                "interval_deviation": regularity.deviation.to_json(),
                "interval_deviation_overall": regularity.deviation_overall.to_json(),
                "interval_after_marker": regularity.after_marker.to_json(),
                "longest_gap_ms": crate::histogram::milliseconds(regularity.longest_gap),
                "longest_gap_steady_ms": crate::histogram::milliseconds(regularity.longest_gap_steady),
                "gaps_over_40_ms": regularity.audible_gaps,
                "missing_sequence_numbers": regularity.missing,
                "late_packets": regularity.late,
                "timestamp_jumps": regularity.jumps,
                "markers": regularity.markers,
                "ssrc_changes": regularity.ssrc_changes,
                "wrong_payload_type": regularity.wrong_payload_type,
                "wrong_source": regularity.wrong_source,
                "garbage": regularity.garbage,
                "unauthentic": regularity.unauthentic,
                "rtcp_packets": regularity.rtcp,
            },
            "answers_without_audio": self.silent_answers,
            "answers_of_another_codec": self.wrong_answers,
            "sent": {
                "packets": self.sent,
                "errors": self.send_errors,
                "lateness": self.lateness.to_json(),
            },
        })
    }
}
