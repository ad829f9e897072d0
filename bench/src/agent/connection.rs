//! One agent's end of one call: what it heard, what it will say and when.

use super::dialect::{Said, Talk};
use super::websocket::{self, BINARY, CLOSE, PING, PONG, Reader, TEXT, Upgrade, UpgradeProblem};
use super::{Mode, Options, Tally};
use crate::pace::Spread;
use crate::rtp::FRAME_NS;
use crate::tls::Stream;
use std::collections::VecDeque;
use std::io::{self, ErrorKind};

const SECOND: u64 = 1_000_000_000;
/// A flooding agent keeps this much ready for the socket.
const FLOOD: usize = 256 * 1024;
/// An agent stops listening to a peer that takes nothing back beyond this.
const LONGEST_BACKLOG: usize = 4 * 1024 * 1024;
/// A slow agent reads this much a second.
const SLOW_BYTES: usize = 1_024;

/// What is to become of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It lives on.
    Open,
    /// It is to be dropped.
    Gone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Upgrading,
    Listening,
    Started,
    Closing,
}

/// One connection.
pub struct Connection {
    /// Its socket.
    pub stream: Stream,
    stage: Stage,
    head: Vec<u8>,
    reader: Reader,
    talk: Talk,
    outgoing: Vec<u8>,
    /// Audio that is to leave later, in order.
    later: VecDeque<(u64, Vec<u8>)>,
    tone: Vec<u8>,
    /// When the next tone frame is due without jitter.
    next_tone: u64,
    started_at: u64,
    last_audio_at: u64,
    ready_at: u64,
    read_again_at: u64,
    spread: Spread,
}

impl Connection {
    /// A connection just accepted.
    pub fn new(stream: Stream, options: &Options, number: u64) -> Self {
        Self {
            stream,
            stage: Stage::Upgrading,
            head: Vec::new(),
            reader: Reader::default(),
            talk: Talk::new(options.dialect, options.format),
            outgoing: Vec::new(),
            later: VecDeque::new(),
            tone: Vec::new(),
            next_tone: 0,
            started_at: 0,
            last_audio_at: 0,
            ready_at: 0,
            read_again_at: 0,
            spread: Spread::new(number + 1),
        }
    }

    /// Whether bytes wait for the socket to take them.
    pub fn wants_to_write(&self) -> bool {
        !self.outgoing.is_empty() || self.stream.wants_to_write()
    }

    /// Whether it listens at all now.
    pub fn wants_to_read(&self, now: u64) -> bool {
        now >= self.read_again_at && self.outgoing.len() < LONGEST_BACKLOG
    }

    /// Reads and answers.
    pub fn readable(&mut self, options: &Options, now: u64, tally: &mut Tally) -> io::Result<Fate> {
        let mut buffer = [0; 16_384];
        let slow = options.mode == Mode::Slow && self.stage == Stage::Started;
        let most = if slow { SLOW_BYTES } else { buffer.len() };
        loop {
            match self.stream.read(&mut buffer[..most]) {
                Ok(0) => return Ok(Fate::Gone),
                Ok(count) => self.take(&buffer[..count], options, now, tally),
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(_) => return Ok(Fate::Gone),
            }
            if !self.stream.has_more() {
                break;
            }
        }
        if slow {
            self.read_again_at = now + SECOND;
        }
        self.flush()
    }

    fn take(&mut self, bytes: &[u8], options: &Options, now: u64, tally: &mut Tally) {
        let rest = if self.stage == Stage::Upgrading {
            self.head.extend_from_slice(bytes);
            match Upgrade::parse(&self.head) {
                Ok((upgrade, used)) => {
                    let wanted = options.dialect.subprotocol();
                    let agreed = wanted
                        .filter(|name| upgrade.subprotocols.iter().any(|offered| offered == name));
                    if let Some(status) = options.refuse {
                        self.refuse(status);
                        tally.refused += 1;
                        return;
                    }
                    self.outgoing
                        .extend_from_slice(upgrade.accept(agreed).as_bytes());
                    self.stage = Stage::Listening;
                    tally.upgraded += 1;
                    self.head.split_off(used)
                }
                Err(UpgradeProblem::More) => return,
                Err(UpgradeProblem::Refused) => {
                    self.refuse(400);
                    return;
                }
            }
        } else {
            bytes.to_vec()
        };
        self.reader.receive(&rest);
        loop {
            match self.reader.next() {
                Ok(Some(message)) => {
                    self.hear(message.opcode, &message.payload, options, now, tally)
                }
                Ok(None) => return,
                Err(websocket::Broken) => {
                    tally.broken += 1;
                    self.close(1002);
                    return;
                }
            }
        }
    }

    fn refuse(&mut self, status: u16) {
        let text = format!(
            "HTTP/1.1 {status} Refused\r\nContent-Length: 8\r\nConnection: close\r\n\r\nrefused\n"
        );
        self.outgoing.extend_from_slice(text.as_bytes());
        self.stage = Stage::Closing;
    }

    fn close(&mut self, code: u16) {
        if self.stage != Stage::Closing {
            websocket::write(&mut self.outgoing, CLOSE, &code.to_be_bytes());
            self.stage = Stage::Closing;
        }
    }

    fn hear(&mut self, opcode: u8, payload: &[u8], options: &Options, now: u64, tally: &mut Tally) {
        match opcode {
            PING => websocket::write(&mut self.outgoing, PONG, payload),
            CLOSE => self.close(1000),
            TEXT | BINARY => match self.talk.read(opcode, payload) {
                Some(Said::Ringing) if options.late_ms > 0 => {
                    self.ready_at = now + options.late_ms * 1_000_000
                }
                Some(Said::Ringing) => self.talk.write_ready(&mut self.outgoing),
                Some(Said::Start) => self.start(options, now, tally),
                Some(Said::Audio(audio)) => self.hear_audio(&audio, options, now, tally),
                Some(Said::Stop) => tally.stops += 1,
                Some(Said::Digit) => tally.digits += 1,
                Some(Said::Mark) => tally.marks += 1,
                Some(Said::Complaint) => tally.complaints += 1,
                Some(Said::Other) => {}
                None => tally.unreadable += 1,
            },
            _ => {}
        }
    }

    fn start(&mut self, options: &Options, now: u64, tally: &mut Tally) {
        self.stage = Stage::Started;
        self.started_at = now;
        tally.started += 1;
        match options.mode {
            Mode::Talk => {
                self.tone = self.talk.tone();
                self.next_tone = now;
                self.schedule_tone(options, now);
            }
            Mode::Flood => {
                self.tone = self.talk.tone();
                self.flood();
            }
            Mode::Garbage => {
                websocket::write(&mut self.outgoing, TEXT, b"this is not JSON {");
                websocket::write(
                    &mut self.outgoing,
                    TEXT,
                    br#"{"event":"media","media":{"payload":"%%%"}}"#,
                );
                websocket::write(
                    &mut self.outgoing,
                    TEXT,
                    br#"{"event":7,"type":[],"media":null}"#,
                );
                websocket::write(&mut self.outgoing, TEXT, &[0xff, 0xfe, 0x80]);
                websocket::write(&mut self.outgoing, BINARY, &[0x55; 3]);
            }
            Mode::Echo | Mode::Slow | Mode::Die | Mode::Close => {}
        }
    }

    fn hear_audio(&mut self, audio: &[u8], options: &Options, now: u64, tally: &mut Tally) {
        tally.audio_messages += 1;
        tally.audio_bytes += audio.len() as u64;
        if self.last_audio_at > 0 {
            tally
                .deviation
                .record((now - self.last_audio_at).abs_diff(FRAME_NS));
        } else {
            tally
                .start_to_audio
                .record(now.saturating_sub(self.started_at));
        }
        self.last_audio_at = now;
        let echoes = matches!(
            options.mode,
            Mode::Echo | Mode::Slow | Mode::Die | Mode::Close | Mode::Garbage
        );
        if !echoes || (options.gate && self.talk.is_silent(audio)) {
            return;
        }
        if options.jitter == 0 {
            self.talk.write_audio(audio, &mut self.outgoing);
        } else {
            let at = self.jittered(now, options);
            self.later.push_back((at, audio.to_vec()));
        }
    }

    /// A time up to twice the jitter after `at`, never before what was scheduled last.
    fn jittered(&mut self, at: u64, options: &Options) -> u64 {
        let jitter = options.jitter * 1_000_000;
        let at = at + self.spread.below(2 * jitter + 1);
        at.max(self.later.back().map_or(0, |(last, _)| *last))
    }

    fn schedule_tone(&mut self, options: &Options, now: u64) {
        while self.next_tone <= now {
            let at = self.jittered(self.next_tone, options);
            self.later.push_back((at, self.tone.clone()));
            self.next_tone += FRAME_NS;
        }
    }

    fn flood(&mut self) {
        while self.outgoing.len() < FLOOD {
            self.talk.write_audio(&self.tone, &mut self.outgoing);
        }
    }

    /// When `handle_timeout` is due; `u64::MAX` for never.
    pub fn next_timeout(&self, options: &Options) -> u64 {
        let mut at = self.later.front().map_or(u64::MAX, |(at, _)| *at);
        if self.ready_at > 0 {
            at = at.min(self.ready_at);
        }
        if self.read_again_at > 0 {
            at = at.min(self.read_again_at);
        }
        if self.stage == Stage::Started {
            at = match options.mode {
                Mode::Talk => at.min(self.next_tone),
                Mode::Die | Mode::Close => at.min(self.started_at + options.after()),
                _ => at,
            };
        }
        at
    }

    /// Says what is due.
    pub fn handle_timeout(&mut self, options: &Options, now: u64) -> io::Result<Fate> {
        if self.ready_at > 0 && now >= self.ready_at {
            self.ready_at = 0;
            self.talk.write_ready(&mut self.outgoing);
        }
        if self.read_again_at > 0 && now >= self.read_again_at {
            self.read_again_at = 0;
        }
        if self.stage == Stage::Started {
            match options.mode {
                Mode::Talk => self.schedule_tone(options, now),
                Mode::Die if now >= self.started_at + options.after() => return Ok(Fate::Gone),
                Mode::Close if now >= self.started_at + options.after() => self.close(1000),
                _ => {}
            }
        }
        while self.later.front().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, audio)) = self.later.pop_front() {
                self.talk.write_audio(&audio, &mut self.outgoing);
            }
        }
        self.flush()
    }

    /// Writes what the socket takes.
    pub fn writable(&mut self, options: &Options) -> io::Result<Fate> {
        let fate = self.flush()?;
        if options.mode == Mode::Flood && self.stage == Stage::Started {
            self.flood();
        }
        Ok(fate)
    }

    fn flush(&mut self) -> io::Result<Fate> {
        if self.stream.flush().is_err() {
            return Ok(Fate::Gone);
        }
        let mut sent = 0;
        while sent < self.outgoing.len() {
            match self.stream.write(&self.outgoing[sent..]) {
                Ok(0) => return Ok(Fate::Gone),
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Ok(Fate::Gone),
            }
        }
        self.outgoing.drain(..sent);
        Ok(
            if self.stage == Stage::Closing && self.outgoing.is_empty() {
                Fate::Gone
            } else {
                Fate::Open
            },
        )
    }
}
