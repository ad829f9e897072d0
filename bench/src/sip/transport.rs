//! A socket that carries our SIP: a UDP port, or a connection of TCP or TLS.

use super::message::{Framed, Message};
use crate::sys::{self, Epoll};
use crate::tls::Stream;
use rustls::ClientConfig;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;

/// Bytes of a socket buffer: a burst of calls must not be lost on our side.
const BUFFER: i32 = 4 * 1024 * 1024;

enum Socket {
    Udp(UdpSocket),
    Connection {
        stream: Stream,
        incoming: Vec<u8>,
        outgoing: Vec<u8>,
    },
}

/// Sends to and receives from one target.
pub struct Transport {
    socket: Socket,
    target: SocketAddr,
    /// Our own address as the target sees it.
    pub local: SocketAddr,
    /// Messages that could not be read.
    pub garbage: u64,
}

/// The address of ours that packets to `target` leave from.
pub fn local_ip(target: SocketAddr) -> io::Result<std::net::IpAddr> {
    let any = if target.is_ipv4() {
        "0.0.0.0:0"
    } else {
        "[::]:0"
    };
    let probe = UdpSocket::bind(any)?;
    probe.connect(target)?;
    Ok(probe.local_addr()?.ip())
}

impl Transport {
    /// Opens a UDP socket.
    pub fn udp(target: SocketAddr, ip: std::net::IpAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind(SocketAddr::new(ip, 0))?;
        socket.set_nonblocking(true)?;
        sys::stamp_arrivals(&socket)?;
        sys::set_receive_buffer(&socket, BUFFER)?;
        let local = socket.local_addr()?;
        Ok(Self {
            socket: Socket::Udp(socket),
            target,
            local,
            garbage: 0,
        })
    }

    /// Opens a TCP connection, with `tls` one on which a handshake begins.
    pub fn connect(target: SocketAddr, tls: Option<&Arc<ClientConfig>>) -> io::Result<Self> {
        let stream = TcpStream::connect(target)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let local = stream.local_addr()?;
        let stream = match tls {
            Some(config) => Stream::connect(stream, config)?,
            None => Stream::plain(stream),
        };
        let socket = Socket::Connection {
            stream,
            incoming: Vec::new(),
            outgoing: Vec::new(),
        };
        Ok(Self {
            socket,
            target,
            local,
            garbage: 0,
        })
    }

    /// Adds the socket to a set.
    pub fn register(&self, epoll: &Epoll, token: u64) -> io::Result<()> {
        match &self.socket {
            Socket::Udp(socket) => epoll.add(socket, token, sys::READABLE),
            Socket::Connection { stream, .. } => epoll.add(stream, token, sys::READABLE),
        }
    }

    /// Sends one message; what a connection does not take at once waits for `flush`.
    pub fn send(&mut self, text: &str) -> io::Result<()> {
        match &mut self.socket {
            Socket::Udp(socket) => match socket.send_to(text.as_bytes(), self.target) {
                // A refused port is a finding of the far end, not of ours: the timer will tell.
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
                other => other.map(|_| ()),
            },
            Socket::Connection { outgoing, .. } => {
                outgoing.extend_from_slice(text.as_bytes());
                self.flush()
            }
        }
    }

    /// Sends what waits.
    pub fn flush(&mut self) -> io::Result<()> {
        if let Socket::Connection {
            stream, outgoing, ..
        } = &mut self.socket
        {
            stream.flush()?;
            while !outgoing.is_empty() {
                match stream.write(outgoing) {
                    Ok(0) => return Err(ErrorKind::WriteZero.into()),
                    Ok(count) => drop(outgoing.drain(..count)),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// Receives all that is there, each message with its time: the kernel's stamp over UDP, the reading else.
    pub fn receive(&mut self, wall_offset: u64, take: &mut Vec<(Message, u64)>) -> io::Result<()> {
        let mut buffer = [0; 65_536];
        match &mut self.socket {
            Socket::Udp(socket) => loop {
                match sys::receive_stamped(socket, &mut buffer) {
                    Ok(arrival) => match Message::parse(&buffer[..arrival.len]) {
                        Some(message) => {
                            take.push((message, arrival.stamp.saturating_sub(wall_offset)))
                        }
                        None => self.garbage += 1,
                    },
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                    Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
                    Err(error) => return Err(error),
                }
            },
            Socket::Connection {
                stream, incoming, ..
            } => loop {
                match stream.read(&mut buffer) {
                    Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                    Ok(count) => incoming.extend_from_slice(&buffer[..count]),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                    Err(error) => return Err(error),
                }
                let now = sys::now();
                loop {
                    match Message::from_stream(incoming) {
                        Framed::Message(message, used) => {
                            take.push((*message, now));
                            incoming.drain(..used);
                        }
                        Framed::Skip(count) => drop(incoming.drain(..count)),
                        Framed::More => break,
                        Framed::Garbage => {
                            self.garbage += 1;
                            return Err(ErrorKind::InvalidData.into());
                        }
                    }
                }
            },
        }
    }
}
