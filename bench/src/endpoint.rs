//! Whom to call, over what, and whose cost to measure: the options that all callers share.

use crate::sip::call::Party;
use crate::sip::exchange::Exchange;
use crate::sip::transport::{Transport, local_ip};
use crate::sys;
use std::io;
use std::net::SocketAddr;

/// SIP transports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Carrier {
    /// One UDP port.
    Udp,
    /// One TCP connection.
    Tcp,
}

/// The far end of the calls.
#[derive(Clone, Debug, clap::Args)]
pub struct Endpoint {
    /// Address and port that receives the INVITEs
    #[arg(long)]
    pub target: SocketAddr,
    /// User part of the number dialled
    #[arg(long, default_value = "1000")]
    pub to: String,
    /// User part of the caller
    #[arg(long, default_value = "+14155550199")]
    pub from: String,
    /// What carries the SIP
    #[arg(long, value_enum, default_value_t = Carrier::Udp)]
    pub transport: Carrier,
    /// Our own address; default: the one that packets to the target leave from
    #[arg(long)]
    pub local: Option<std::net::IpAddr>,
    /// A process of the far end whose cost is measured, with its children; may be repeated, all are summed
    #[arg(long)]
    pub pid: Vec<u32>,
    /// Another process whose cost is reported apart, as NAME=PID; may be repeated
    #[arg(long, value_parser = named_process)]
    pub watch: Vec<(String, u32)>,
}

fn named_process(text: &str) -> Result<(String, u32), String> {
    let (name, pid) = text.split_once('=').ok_or("give it as NAME=PID")?;
    Ok((name.to_owned(), pid.parse().map_err(|_| "PID is a number")?))
}

impl Endpoint {
    /// Opens the transport; nothing is sent over UDP yet.
    pub fn open(&self) -> io::Result<Exchange> {
        let ip = match self.local {
            Some(ip) => ip,
            None => local_ip(self.target)?,
        };
        let transport = match self.transport {
            Carrier::Udp => Transport::udp(self.target, ip)?,
            Carrier::Tcp => Transport::tcp(self.target)?,
        };
        let party = Party {
            target: self.target,
            local: transport.local,
            transport: transport.name(),
            to: self.to.clone(),
            from: self.from.clone(),
            run: sys::now() ^ u64::from(std::process::id()) << 44,
        };
        Ok(Exchange::new(party, transport))
    }

    /// The processes to measure: the far end's as `gateway`, then the named ones.
    pub fn groups(&self) -> Vec<(String, Vec<u32>)> {
        let mut groups = Vec::new();
        if !self.pid.is_empty() {
            groups.push(("gateway".to_owned(), self.pid.clone()));
        }
        for (name, pid) in &self.watch {
            groups.push((name.clone(), vec![*pid]));
        }
        groups
    }
}
