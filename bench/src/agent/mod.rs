//! `offhook-bench agent`: the agent behind the gateway, for as many calls as dial it, on one thread.

mod connection;
mod dialect;
mod websocket;

use crate::histogram::Histogram;
use crate::sys::{self, Epoll, HUNG_UP, READABLE, WRITABLE};
use crate::tls::{self, Stream};
use connection::{Connection, Fate};
use dialect::Dialect;
pub use dialect::Format;
use rustls::ServerConfig;
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

/// How the agent behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// Says what it hears.
    Echo,
    /// Says a tone, in real time.
    Talk,
    /// Echoes, but reads only 1 KiB a second once the call has started.
    Slow,
    /// Says things that are no messages, then echoes.
    Garbage,
    /// Says a tone as fast as the socket takes it.
    Flood,
    /// Echoes, then drops the connection without a word, --after seconds into the call.
    Die,
    /// Echoes, then closes with 1000, --after seconds into the call.
    Close,
}

/// What to serve.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Address and port to listen on
    #[arg(long, default_value = "127.0.0.1:9100")]
    pub listen: SocketAddr,
    /// Protocol of the gateway's connections
    #[arg(long, value_enum, default_value_t = Dialect::Offhook)]
    pub dialect: Dialect,
    /// Audio that an offhook agent asks for: pcmu, pcm16 or pcm16@RATE
    #[arg(long, default_value = "pcmu")]
    pub format: Format,
    /// How it behaves
    #[arg(long, value_enum, default_value_t = Mode::Echo)]
    pub mode: Mode,
    /// Chunks leave up to this many milliseconds before or after their even time
    #[arg(long, default_value_t = 0)]
    pub jitter: u64,
    /// Seconds from a call's start to the end that --mode die and close make
    #[arg(long, default_value_t = 5.0)]
    pub after: f64,
    /// Echo no silence, so that each talkspurt starts from an empty queue
    #[arg(long)]
    pub gate: bool,
    /// Milliseconds between `ringing` and our `ready`
    #[arg(long, default_value_t = 0)]
    pub late_ms: u64,
    /// Refuse every upgrade with this HTTP status
    #[arg(long)]
    pub refuse: Option<u16>,
    /// Speak TLS and show this certificate, PEM; not with --mode slow
    #[arg(long, requires = "key")]
    pub certificate: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(long, requires = "certificate")]
    pub key: Option<PathBuf>,
}

impl Options {
    fn tls(&self) -> io::Result<Option<Arc<ServerConfig>>> {
        let (Some(certificate), Some(key)) = (&self.certificate, &self.key) else {
            return Ok(None);
        };
        if self.mode == Mode::Slow {
            // What TLS has decrypted, the socket does not announce again.
            return Err(io::Error::other("--mode slow is not for TLS"));
        }
        tls::server(certificate, key).map(Some)
    }

    fn after(&self) -> u64 {
        (self.after * 1e9) as u64
    }
}

/// What all connections came to.
#[derive(Default)]
pub struct Tally {
    connections: u64,
    upgraded: u64,
    refused: u64,
    started: u64,
    stops: u64,
    digits: u64,
    marks: u64,
    complaints: u64,
    audio_messages: u64,
    audio_bytes: u64,
    unreadable: u64,
    broken: u64,
    start_to_audio: Histogram,
    deviation: Histogram,
}

impl Tally {
    fn to_json(&self) -> Value {
        json!({
            "tool": "offhook-bench agent",
            "connections": self.connections,
            "upgraded": self.upgraded,
            "refused": self.refused,
            "started": self.started,
            "stops": self.stops,
            "digits": self.digits,
            "marks": self.marks,
            "complaints": self.complaints,
            "audio_messages": self.audio_messages,
            "audio_bytes": self.audio_bytes,
            "unreadable_messages": self.unreadable,
            "broken_connections": self.broken,
            "start_to_first_audio": self.start_to_audio.to_json(),
            "audio_interval_deviation": self.deviation.to_json(),
        })
    }
}

/// One connection and what is waited for on its behalf.
struct Seat {
    connection: Connection,
    interest: u32,
    alarm: u64,
}

struct Server<'a> {
    options: &'a Options,
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    epoll: Epoll,
    seats: Vec<Option<Seat>>,
    free: Vec<usize>,
    alarms: BinaryHeap<Reverse<(u64, usize)>>,
    tally: Tally,
}

/// Serves until it is killed; each time the last connection has gone, what was counted is printed as one line of JSON.
pub fn run(options: &Options) -> io::Result<()> {
    sys::raise_descriptor_limit();
    sys::exact_timers();
    let mut server = Server::open(options)?;
    let mut ready = Vec::new();
    loop {
        let before = server.open_seats();
        server.step(&mut ready)?;
        if before > 0 && server.open_seats() == 0 {
            println!("{}", server.tally.to_json());
            server.tally = Tally::default();
        }
    }
}

impl<'a> Server<'a> {
    fn open(options: &'a Options) -> io::Result<Self> {
        let listener = TcpListener::bind(options.listen)?;
        listener.set_nonblocking(true)?;
        let epoll = Epoll::new(512)?;
        epoll.add(&listener, 0, READABLE)?;
        Ok(Self {
            options,
            listener,
            tls: options.tls()?,
            epoll,
            seats: Vec::new(),
            free: Vec::new(),
            alarms: BinaryHeap::new(),
            tally: Tally::default(),
        })
    }

    fn open_seats(&self) -> usize {
        self.seats.len() - self.free.len()
    }

    fn step(&mut self, ready: &mut Vec<sys::Ready>) -> io::Result<()> {
        let wait = match self.alarms.peek() {
            Some(Reverse((at, _))) => at.saturating_sub(sys::now()).min(1_000_000_000),
            None => 1_000_000_000,
        };
        self.epoll.wait(wait, ready)?;
        let now = sys::now();
        for one in ready.iter() {
            if one.token == 0 {
                self.accept()?;
                continue;
            }
            let index = one.token as usize - 1;
            let Some(seat) = self.seats.get_mut(index).and_then(Option::as_mut) else {
                continue;
            };
            let mut fate = Fate::Open;
            if one.events & (READABLE | HUNG_UP) != 0 {
                fate = seat
                    .connection
                    .readable(self.options, now, &mut self.tally)?;
            }
            if fate == Fate::Open && one.events & WRITABLE != 0 {
                fate = seat.connection.writable(self.options)?;
            }
            self.settle(index, fate, now)?;
        }
        let now = sys::now();
        while let Some(&Reverse((at, index))) = self.alarms.peek() {
            if at > now {
                break;
            }
            self.alarms.pop();
            let Some(seat) = self.seats.get_mut(index).and_then(Option::as_mut) else {
                continue;
            };
            // An alarm that was overtaken by an earlier one, or belongs to the seat's last holder.
            if seat.alarm != at {
                continue;
            }
            seat.alarm = u64::MAX;
            let fate = seat.connection.handle_timeout(self.options, now)?;
            self.settle(index, fate, now)?;
        }
        Ok(())
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error),
            };
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let index = self.free.pop().unwrap_or_else(|| {
                self.seats.push(None);
                self.seats.len() - 1
            });
            let stream = match &self.tls {
                Some(config) => Stream::serve(stream, config)?,
                None => Stream::plain(stream),
            };
            self.epoll.add(&stream, index as u64 + 1, READABLE)?;
            let connection = Connection::new(stream, self.options, self.tally.connections);
            self.tally.connections += 1;
            self.seats[index] = Some(Seat {
                connection,
                interest: READABLE,
                alarm: u64::MAX,
            });
        }
    }

    /// Drops a connection, or waits for what it wants now.
    fn settle(&mut self, index: usize, fate: Fate, now: u64) -> io::Result<()> {
        if fate == Fate::Gone {
            self.seats[index] = None;
            self.free.push(index);
            return Ok(());
        }
        let Some(seat) = self.seats[index].as_mut() else {
            return Ok(());
        };
        let mut interest = 0;
        if seat.connection.wants_to_read(now) {
            interest |= READABLE;
        }
        if seat.connection.wants_to_write() {
            interest |= WRITABLE;
        }
        if interest != seat.interest {
            self.epoll
                .change(&seat.connection.stream, index as u64 + 1, interest)?;
            seat.interest = interest;
        }
        let at = seat.connection.next_timeout(self.options);
        if at < seat.alarm {
            seat.alarm = at;
            self.alarms.push(Reverse((at, index)));
        }
        Ok(())
    }
}
