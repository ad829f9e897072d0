//! A port: the two sockets that it stands for.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use offhook_media_sys::{Driver, UdpOptions, UdpSocket};

/// The name of a port for as long as it is bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PortId(pub u64);

/// A bound port: two sockets, and the thread that reads them.
#[derive(Debug)]
pub struct Port {
    /// Its name.
    pub id: PortId,
    /// RTP, on an even port.
    pub rtp: Arc<UdpSocket>,
    /// RTCP, on the port above.
    pub rtcp: Arc<UdpSocket>,
    /// What RTP is bound to.
    pub address: SocketAddr,
    /// The media thread that it belongs to.
    pub thread: usize,
}

impl Port {
    /// Bind RTP to `address` and RTCP to the port above it.
    ///
    /// # Errors
    /// Those of [`UdpSocket::bind`].
    pub fn bind(
        id: PortId,
        address: SocketAddr,
        thread: usize,
        options: UdpOptions,
        driver: Driver,
    ) -> io::Result<Self> {
        let above = SocketAddr::new(address.ip(), address.port() + 1);
        let rtp = UdpSocket::bind(address, options, driver)?;
        let rtcp = UdpSocket::bind(above, options, driver)?;
        Ok(Self {
            id,
            address: rtp.local_address()?,
            rtp: Arc::new(rtp),
            rtcp: Arc::new(rtcp),
            thread,
        })
    }

    /// The smaller receive buffer of the two that the system has given.
    #[must_use]
    pub fn receive_buffer(&self) -> usize {
        self.rtp.receive_buffer().min(self.rtcp.receive_buffer())
    }
}
