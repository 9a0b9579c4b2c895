//! A wire to a machine of its own: a network name space at the end of a pair of virtual interfaces.
//!
//! ```text
//!     this test ── near interface ════════ far interface ── processes started by `inside`
//!                  here                    there
//! ```
//!
//! A wire is cut as a machine vanishes that loses its power, or a cable that is pulled somewhere: frames leave for an
//! address that nobody has, and no side is told anything. What the kernels keep of connections is left alone.
//!
//! The name space lives as long as the process that holds it, which ends with the test, and the interfaces go with it.

use super::host::{is_root, skip};
use rustix::rand::{GetRandomFlags, getrandom};
use std::io::Read;
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};

/// The hardware address of nobody.
const NOBODY: &str = "02:00:00:00:00:01";
/// Draws before a host counts as having no free name.
const DRAWS_MAX: usize = 8;

/// A wire, and the machine at its other end.
#[derive(Debug)]
pub(crate) struct Wire {
    holder: Child,
    number: u16,
}

impl Wire {
    /// Lays one; nothing, and a line that says so, where the host does not allow it.
    pub(crate) fn lay() -> Option<Self> {
        if !is_root() {
            skip("a network name space with a wire to it takes root");
            return None;
        }
        let wire = (0..DRAWS_MAX).find_map(|_| {
            let wire = Self {
                holder: hold_name_space()?,
                number: drawn(),
            };
            wire.connect().then_some(wire)
        });
        if wire.is_none() {
            skip("this host makes no network name spaces, or no virtual interfaces");
        }
        wire
    }

    /// The address on the test's side, which every process of this machine can have.
    pub(crate) fn here(&self) -> Ipv4Addr {
        self.address(1)
    }

    /// The address on the other side.
    pub(crate) fn there(&self) -> Ipv4Addr {
        self.address(2)
    }

    /// The words in front of a program that put it on the other side.
    pub(crate) fn inside(&self) -> Vec<String> {
        let name_space = format!("--net=/proc/{}/ns/net", self.holder.id());
        vec!["nsenter".to_owned(), name_space]
    }

    /// Nothing passes any more, and nobody is told.
    pub(crate) fn cut(&self) {
        for (side, interface, address) in self.neighbours() {
            let change =
                format!("ip neigh replace {address} lladdr {NOBODY} dev {interface} nud permanent");
            self.demand(side, &change);
        }
    }

    /// The two find each other again.
    pub(crate) fn mend(&self) {
        for (side, interface, address) in self.neighbours() {
            self.demand(side, &format!("ip neigh del {address} dev {interface}"));
        }
    }

    /// Both sides: the interface, and the address that it reaches.
    fn neighbours(&self) -> [(Side, String, Ipv4Addr); 2] {
        [
            (Side::Near, self.interface(Side::Near), self.there()),
            (Side::Far, self.interface(Side::Far), self.here()),
        ]
    }

    fn connect(&self) -> bool {
        let (near, far) = (self.interface(Side::Near), self.interface(Side::Far));
        let (here, there) = (self.here(), self.there());
        let holder = self.holder.id();
        let pair = format!("ip link add {near} type veth peer name {far} netns {holder}");
        let up = |interface: &str, address: Ipv4Addr| {
            format!("ip addr add {address}/30 dev {interface} && ip link set {interface} up")
        };
        self.shell(Side::Near, &pair)
            && self.shell(Side::Near, &up(&near, here))
            && self.shell(
                Side::Far,
                &format!("ip link set lo up && {}", up(&far, there)),
            )
    }

    fn interface(&self, side: Side) -> String {
        let letter = match side {
            Side::Near => 'n',
            Side::Far => 'f',
        };
        format!("margay{:x}{letter}", self.number)
    }

    /// Of 198.18.0.0/15, which is for tests of networks, a part of four.
    fn address(&self, place: u8) -> Ipv4Addr {
        let [high, low] = (self.number << 2).to_be_bytes();
        let second = 18 + u8::from(self.number >> 14 == 1);
        Ipv4Addr::new(198, second, high, low + place)
    }

    fn demand(&self, side: Side, line: &str) {
        assert!(self.shell(side, line), "refused: {line}");
    }

    fn shell(&self, side: Side, line: &str) -> bool {
        let before = match side {
            Side::Near => Vec::new(),
            Side::Far => self.inside(),
        };
        let mut words = before.iter().map(String::as_str).chain(["sh", "-c", line]);
        let mut command = Command::new(words.next().expect("there are words of ours"));
        command.args(words).stderr(Stdio::null());
        command.status().is_ok_and(|ended| ended.success())
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // It is a child of a test that ends; whether it could be killed changes nothing.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

#[derive(Clone, Copy, Debug)]
enum Side {
    Near,
    Far,
}

/// A process that does nothing in a network name space of its own, once it is there.
fn hold_name_space() -> Option<Child> {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "unshare", "--net"]);
    command.args(["sh", "-c", "echo && exec cat"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut holder = command.stderr(Stdio::null()).spawn().ok()?;
    let said = holder.stdout.as_mut().expect("it has a pipe");
    said.read_exact(&mut [0]).ok()?;
    Some(holder)
}

fn drawn() -> u16 {
    let mut bytes = [0; 2];
    getrandom(&mut bytes, GetRandomFlags::empty()).expect("the kernel draws");
    u16::from_le_bytes(bytes) >> 1
}
