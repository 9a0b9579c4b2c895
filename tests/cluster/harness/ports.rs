//! Ports that no other run can be given: below the range that the kernel draws from, and claimed while they are held.
//!
//! A claim is a socket in the kernel's abstract name space: it ends with the process, however that ends, so a killed
//! run leaves nothing behind, and two runs can never hold the same one. A claimed port is then probed, because
//! strangers do not know of claims.

use rustix::rand::{GetRandomFlags, getrandom};
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as Name, UnixListener};

/// First port that is drawn.
const PORT_MIN: u16 = 10_000;
/// Ports from here on are given to outgoing connections.
const PORT_END: u16 = 32_768;
/// Draws before a host counts as having no free port.
const DRAWS_MAX: usize = 1_000;

/// A port of our own.
#[derive(Debug)]
pub(crate) struct Port {
    number: u16,
    _claim: UnixListener,
}

impl Port {
    /// Draws one that is free.
    pub(crate) fn draw() -> Self {
        (0..DRAWS_MAX)
            .find_map(|_| Self::claim(drawn()))
            .expect("one of many ports is free")
    }

    /// Draws so many that follow each other and are all free.
    pub(crate) fn draw_row(count: u16) -> Vec<Self> {
        let row = |first: u16| (first..first + count).map(Self::claim).collect();
        (0..DRAWS_MAX)
            .find_map(|_| row(drawn()))
            .expect("one of many rows is free")
    }

    /// Its number.
    pub(crate) fn number(&self) -> u16 {
        self.number
    }

    fn claim(number: u16) -> Option<Self> {
        let name = Name::from_abstract_name(format!("margay-test-port-{number}"));
        let claim = UnixListener::bind_addr(&name.expect("a short name")).ok()?;
        TcpListener::bind(("127.0.0.1", number)).ok()?;
        Some(Self {
            number,
            _claim: claim,
        })
    }
}

fn drawn() -> u16 {
    let mut bytes = [0; 2];
    getrandom(&mut bytes, GetRandomFlags::empty()).expect("the kernel draws");
    PORT_MIN + u16::from_le_bytes(bytes) % (PORT_END - PORT_MIN)
}
