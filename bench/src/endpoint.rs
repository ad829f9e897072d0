//! Whom to call, over what, and whose cost to measure: the options that all callers share.

use crate::sip::call::Party;
use crate::sip::exchange::{Exchange, Way};
use crate::sip::transport::local_ip;
use crate::sys;
use crate::tls;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// SIP transports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Carrier {
    /// One UDP port.
    Udp,
    /// TCP.
    Tcp,
    /// TLS.
    Tls,
}

impl Carrier {
    /// The name in Via.
    pub fn name(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
        }
    }
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
    /// Certificates that the target must prove itself by over TLS, PEM
    #[arg(long, required_if_eq("transport", "tls"))]
    pub tls_ca: Option<PathBuf>,
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
    /// Opens the transport, which is one for all calls or, with `a_call_each`, for each call its own; nothing is sent over
    /// UDP yet.
    pub fn open(&self, a_call_each: bool) -> io::Result<Exchange> {
        let ip = match self.local {
            Some(ip) => ip,
            None => local_ip(self.target)?,
        };
        let way = Way {
            carrier: self.transport,
            target: self.target,
            ip,
            tls: self.tls_ca.as_deref().map(tls::client).transpose()?,
        };
        let party = Party {
            target: self.target,
            local: SocketAddr::new(ip, 0),
            transport: self.transport.name(),
            to: self.to.clone(),
            from: self.from.clone(),
            run: sys::now() ^ u64::from(std::process::id()) << 44,
        };
        Exchange::new(party, way, a_call_each)
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
