//! What a packet costs a media thread in calls of the system and of the interpreter: counted on the real engine, with many calls at once.
//!
//! The counting functions here stand before those of the C library, as a counting allocator does before the system's; what they don't know is
//! not used by the engine, as `strace` says.
#![cfg(all(target_os = "linux", target_env = "gnu"))]
#![allow(unsafe_code)]
use base64::{Engine as _, prelude::BASE64_STANDARD};
use offhook_media::claim::Policy;
use offhook_media::codec::Codec;
use offhook_media::engine::{
    BridgeSettings, Engine, EngineSettings, Event, LegHandle, LegSettings, PortRange, WireHandle,
    WireSettings,
};
use offhook_media::leg::RemoteMedia;
use offhook_media::rtp::Header;
use sha1::{Digest, Sha1};
use std::cell::Cell;
use std::ffi::{c_char, c_void};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

unsafe extern "C" {
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
}

thread_local! {
    /// Whether this is a media thread, once that is known.
    static IS_MEDIA: Cell<Option<bool>> = const { Cell::new(None) };
}

fn is_media() -> bool {
    let known = IS_MEDIA.try_with(|is| {
        if is.get().is_none() {
            let name = thread::current().name().map(str::to_owned);
            is.set(Some(
                name.is_some_and(|name| name.starts_with("offhook-media")),
            ));
        }
        is.get() == Some(true)
    });
    // A thread that is torn down is none.
    known.unwrap_or(false)
}

macro_rules! counted {
    ($($name:ident($($argument:ident)*))*) => {
        /// How often media threads have called each function.
        static CALLS: &[(&str, &AtomicU64)] = &[$((stringify!($name), &counters::$name)),*];

        #[allow(non_upper_case_globals, reason = "they are called as what they count")]
        mod counters {
            use super::AtomicU64;
            $(pub static $name: AtomicU64 = AtomicU64::new(0);)*
        }

        $(
            // SAFETY: arguments and result are words, which are passed on as they came in registers, whatever part of them is meant.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $name($($argument: usize),*) -> usize {
                static REAL: AtomicUsize = AtomicUsize::new(0);
                if REAL.load(Relaxed) == 0 {
                    let name = concat!(stringify!($name), "\0").as_ptr().cast();
                    // SAFETY: the name ends with a zero; -1 asks for the function behind this one.
                    REAL.store(unsafe { dlsym(-1isize as *mut c_void, name) } as usize, Relaxed);
                }
                if is_media() {
                    counters::$name.fetch_add(1, Relaxed);
                }
                // SAFETY: the C library has a function of this name, which takes what ours was given.
                unsafe {
                    let real: unsafe extern "C" fn($(counted!(@word $argument)),*) -> usize =
                        std::mem::transmute(REAL.load(Relaxed));
                    real($($argument),*)
                }
            }
        )*
    };
    (@word $argument:ident) => { usize };
}

counted! {
    syscall(a b c d e f g)
    epoll_wait(a b c d)
    epoll_ctl(a b c d)
    poll(a b c)
    clock_nanosleep(a b c d)
    nanosleep(a b)
    recvmmsg(a b c d e)
    recvmsg(a b c)
    recvfrom(a b c d e f)
    recv(a b c d)
    read(a b c)
    readv(a b c)
    sendmmsg(a b c d)
    sendmsg(a b c)
    sendto(a b c d e f)
    send(a b c d)
    write(a b c)
    writev(a b c)
    getsockopt(a b c d e)
    setsockopt(a b c d e)
    ioctl(a b c)
    sched_yield()
}

/// How often each function has been called so far.
fn calls() -> Vec<u64> {
    CALLS.iter().map(|(_, count)| count.load(Relaxed)).collect()
}

/// The calls since then, in all and by their names.
fn since(before: &[u64]) -> (u64, String) {
    let now = calls();
    let each = CALLS.iter().zip(now.iter().zip(before));
    let counts: Vec<(&str, u64)> = each
        .map(|((name, _), (now, before))| (*name, now - before))
        .filter(|(_, count)| *count > 0)
        .collect();
    let words = counts.iter().map(|(name, count)| format!("{name} {count}"));
    let all = counts.iter().map(|(_, count)| count).sum();
    (all, words.collect::<Vec<_>>().join(", "))
}

/// One engine at a time is counted.
static ALONE: Mutex<()> = Mutex::new(());

/// What ARCHITECTURE.md states, for packets of both directions: of each tick one sleep, one look, and what is read from and written to two ports.
/// In two seconds these are 4,000 for sleeping and looking, 4,000 for reading and 5,000 for writing at the very most, for 10,000 packets.
const ECHO_CEILING: f64 = 1.5;
/// And what is read from and written to each agent's connection.
const AGENT_CEILING: f64 = 3.0;
/// The agent protocol of our own.
const DIALECT: &str = include_str!("../src/wire/dialects/offhook.json");
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const FRAME: Duration = Duration::from_millis(20);

fn engine(min: u16, max: u16) -> Engine {
    Engine::new(EngineSettings {
        addresses: vec![LOOPBACK],
        ports: PortRange { min, max },
        threads: 1,
        quarantine: Duration::ZERO,
        dscp: 46,
        receive_buffer: 1 << 20,
        max_legs: 100,
        max_wires: 100,
        event_limit: 1_000,
        dial_threads: 4,
        dial_queue: 100,
        speech_weights: None,
    })
    .expect("an engine")
}

/// The far end of a leg.
struct Peer {
    socket: UdpSocket,
    number: u32,
    sequence: u16,
}

impl Peer {
    fn new(number: u32) -> Self {
        Peer {
            socket: UdpSocket::bind("127.0.0.1:0").expect("bound"),
            number,
            sequence: 0,
        }
    }

    fn say(&mut self, to: SocketAddr) {
        let header = Header {
            marker: false,
            payload_type: 0,
            sequence: self.sequence,
            timestamp: u32::from(self.sequence) * 160,
            ssrc: self.number + 1,
        };
        self.sequence += 1;
        let mut packet = [0x55; 172];
        packet[..12].copy_from_slice(&header.encode());
        self.socket.send_to(&packet, to).expect("sent");
    }

    /// A leg that sends to it.
    fn leg(&self, engine: &Engine) -> LegHandle {
        let policy = Policy {
            signalling: LOOPBACK,
            media_allow: Vec::new(),
            nat: false,
            loopback: true,
        };
        let address = self.socket.local_addr().expect("bound");
        let settings = LegSettings {
            remote: Some(address),
            policy: Some(policy.clone()),
            playout_limit: Duration::from_secs(60),
            ..LegSettings::default()
        };
        let leg = engine.open_leg(&settings, None).expect("a leg");
        let media = RemoteMedia::plain(address, 0, Codec::Pcmu);
        leg.set_remote(media, policy).expect("taken");
        leg
    }
}

/// Packets that the legs have got and sent so far.
fn packets(legs: &[LegHandle]) -> u64 {
    let each = legs.iter().map(LegHandle::stats);
    each.map(|stats| stats.received_packets.get() + stats.sent_packets.get())
        .sum()
}

/// All peers speak for so many frames, evenly one after the other.
fn talk(peers: &mut [Peer], legs: &[LegHandle], frames: u32) {
    let begin = Instant::now();
    let apart = FRAME / peers.len() as u32;
    for frame in 0..frames {
        for (n, (peer, leg)) in peers.iter_mut().zip(legs).enumerate() {
            let at = begin + FRAME * frame + apart * n as u32;
            thread::sleep(at.saturating_duration_since(Instant::now()));
            peer.say(leg.local_address());
        }
    }
}

/// Lets them talk for two seconds more; how many calls each packet of both ways has cost.
fn cost(engine: &Engine, peers: &mut [Peer], legs: &[LegHandle]) -> f64 {
    talk(peers, legs, 75);
    let _ = engine.drain_events(1_000);
    let (before, sent) = (calls(), packets(legs));
    talk(peers, legs, 100);
    let (made, words) = since(&before);
    let carried = packets(legs) - sent;
    println!("{carried} packets, {made} calls: {words}");
    assert!(carried > 180 * legs.len() as u64, "{carried} packets");
    let told: Vec<Event> = engine.drain_events(1_000);
    // The queue of events is the only way from a media thread to the interpreter.
    assert!(told.is_empty(), "the interpreter was asked: {told:?}");
    made as f64 / carried as f64
}

#[test]
fn fifty_echoes_on_two_ports_cost_about_one_call_a_packet() {
    let _alone = ALONE.lock();
    let engine = engine(14_100, 14_103);
    if engine.stats().driver != "linux" {
        return;
    }
    let mut peers: Vec<Peer> = (0..50).map(Peer::new).collect();
    let legs: Vec<LegHandle> = peers.iter().map(|peer| peer.leg(&engine)).collect();
    for leg in &legs {
        leg.echo(true).expect("taken");
        leg.start(None).expect("taken");
        leg.release().expect("taken");
    }
    assert_eq!(engine.stats().ports.in_use, 2);
    let calls = cost(&engine, &mut peers, &legs);
    assert!(calls <= ECHO_CEILING, "{calls:.2} system calls a packet");
}

#[test]
fn twenty_five_bridges_on_two_ports_cost_as_little() {
    let _alone = ALONE.lock();
    let engine = engine(14_120, 14_123);
    if engine.stats().driver != "linux" {
        return;
    }
    let mut peers: Vec<Peer> = (0..50).map(Peer::new).collect();
    let legs: Vec<LegHandle> = peers.iter().map(|peer| peer.leg(&engine)).collect();
    let both = BridgeSettings {
        digits: true,
        one_way: false,
    };
    for pair in legs.chunks_exact(2) {
        for leg in pair {
            leg.start(None).expect("taken");
            leg.release().expect("taken");
        }
        engine.bridge(&pair[0], &pair[1], both).expect("bridged");
    }
    let calls = cost(&engine, &mut peers, &legs);
    let heard = legs.iter().map(|leg| leg.stats().sent_audio_packets.get());
    assert!(heard.min() > Some(100), "they hear each other");
    assert!(calls <= ECHO_CEILING, "{calls:.2} system calls a packet");
}

/// An agent of many calls that says what it hears.
fn agent(listener: &TcpListener) {
    for stream in listener.incoming() {
        let stream = stream.expect("a connection");
        thread::spawn(move || converse(stream));
    }
}

fn converse(mut stream: TcpStream) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        request.push(byte[0]);
    }
    let request = String::from_utf8(request).ok()?;
    let line = |name: &str| {
        let of_name = |line: &str| line.to_lowercase().starts_with(name);
        let found = request.lines().find(|line| of_name(line))?;
        Some(found.split_once(':')?.1.trim().to_owned())
    };
    let key = line("sec-websocket-key")? + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let accept = BASE64_STANDARD.encode(Sha1::digest(key));
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: offhook.v1\r\n\r\n"
    );
    stream.write_all(answer.as_bytes()).ok()?;
    loop {
        let mut head = [0; 2];
        stream.read_exact(&mut head).ok()?;
        let mut len = usize::from(head[1] & 0x7f);
        if len == 126 {
            let mut long = [0; 2];
            stream.read_exact(&mut long).ok()?;
            len = u16::from_be_bytes(long).into();
        }
        let mut rest = vec![0; 4 + len];
        stream.read_exact(&mut rest).ok()?;
        let (mask, data) = rest.split_at_mut(4);
        for (byte, mask) in data.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= mask;
        }
        if head[0] == 0x82 {
            let mut frame = vec![0x82, 126];
            frame.extend((len as u16).to_be_bytes());
            frame.extend_from_slice(data);
            stream.write_all(&frame).ok()?;
        }
    }
}

#[test]
fn thirty_calls_with_a_connection_each_cost_less_than_three_calls_a_packet() {
    let _alone = ALONE.lock();
    let engine = engine(14_110, 14_113);
    if engine.stats().driver != "linux" {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let url = format!("ws://{}/", listener.local_addr().expect("bound"));
    thread::spawn(move || agent(&listener));
    let mut peers: Vec<Peer> = (0..30).map(Peer::new).collect();
    let legs: Vec<LegHandle> = peers.iter().map(|peer| peer.leg(&engine)).collect();
    let settings = WireSettings {
        url,
        dialect: DIALECT.to_owned(),
        values: Vec::new(),
        headers: Vec::new(),
        subprotocols: Vec::new(),
        origin: None,
        tls_verify: true,
        tls_ca: None,
        format: "pcm16/8000".to_owned(),
        step_timeout: Duration::from_secs(5),
        total_timeout: Duration::from_secs(5),
        ping_interval: Duration::ZERO,
        pong_timeout: Duration::from_secs(5),
        send_limit: 65_536,
        text_limit: 65_536,
    };
    let wires: Vec<WireHandle> = legs
        .iter()
        .map(|leg| engine.open_wire(&settings, leg).expect("a wire"))
        .collect();
    let (end, mut connected) = (Instant::now() + Duration::from_secs(10), 0);
    while connected < legs.len() {
        assert!(Instant::now() < end, "{connected} are connected");
        let events = engine.drain_events(100).into_iter();
        connected += events
            .filter(|event| event.what.kind() == "connected")
            .count();
        thread::sleep(Duration::from_millis(5));
    }
    for (leg, wire) in legs.iter().zip(&wires) {
        leg.connect(Some(wire), false).expect("taken");
        leg.start(None).expect("taken");
        leg.release().expect("taken");
    }
    let calls = cost(&engine, &mut peers, &legs);
    let spoken = wires
        .iter()
        .map(|wire| wire.stats().received_audio_us.get());
    assert!(spoken.min() > Some(2_000_000), "the agents have spoken");
    assert!(calls <= AGENT_CEILING, "{calls:.2} system calls a packet");
}
