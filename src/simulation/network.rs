//! A virtual network: connections between places, whose bytes are late, held up, cut in two, or gone.
//!
//! ```text
//!   place a ──way 0──> [ parcel | parcel | end ] ──> place b
//!           <──way 1── [ parcel ]                <──
//! ```
//!
//! A *stream* keeps the order of its parcels, whatever their delays, and waits while its path is cut, as TCP does. A
//! *datagram* way may lose, double and reorder them: harsher than production, where peers speak TCP. Whoever sends
//! never learns what arrived.
//!
//! Invariants:
//! * Nothing arrives on a path that is cut at that moment.
//! * After its end, nothing arrives on a way.

use margay_types::Random;
use std::collections::{BTreeMap, BTreeSet};

/// A node or a client, by number.
pub type Place = usize;

/// Names a connection; never used again.
pub type ConnectionNumber = u64;

/// How a connection treats what is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// In order, whole.
    Stream,
    /// Lost, doubled and reordered by the rates of the world.
    Datagram,
}

/// Rates of a world, drawn per seed.
#[derive(Clone, Copy, Debug)]
pub struct NetworkOptions {
    /// Shortest delay.
    pub delay_ns_min: u64,
    /// Longest ordinary delay.
    pub delay_ns_max: u64,
    /// Of 1000 parcels, so many are late by up to `late_ns`.
    pub late_permille: u64,
    /// How late a late parcel may be.
    pub late_ns: u64,
    /// Of 1000 datagrams, so many are lost.
    pub loss_permille: u64,
    /// Of 1000 datagrams, so many arrive twice.
    pub double_permille: u64,
}

/// What arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parcel {
    /// The other side took the connection.
    Connected,
    /// Bytes.
    Bytes(Vec<u8>),
    /// The connection is over.
    End,
}

/// Something that arrived now.
#[derive(Debug)]
pub struct Arrival {
    /// On which connection.
    pub connection: ConnectionNumber,
    /// Where.
    pub at: Place,
    /// What.
    pub parcel: Parcel,
}

/// One way of a connection.
#[derive(Debug, Default)]
struct Way {
    parcels: Vec<(u64, Parcel)>,
    newest_ns: u64,
    /// Datagrams do not overtake what was sent reliably before them.
    floor_ns: u64,
    is_ended: bool,
}

/// Two ends, and what is on its way between them.
#[derive(Debug)]
struct Connection {
    order: Order,
    places: [Place; 2],
    ways: [Way; 2],
}

/// All connections, and all paths.
#[derive(Debug)]
pub struct Network {
    options: NetworkOptions,
    random: Random,
    connections: BTreeMap<ConnectionNumber, Connection>,
    next_number: ConnectionNumber,
    wakes: BTreeSet<(u64, ConnectionNumber, usize)>,
    cuts: BTreeSet<(Place, Place)>,
    clogs: BTreeMap<(Place, Place), u64>,
}

/// How long a parcel on a cut path waits until the path is looked at again.
const HELD_NS: u64 = 3_000_000;

impl Network {
    /// A network without connections.
    #[must_use]
    pub fn new(options: NetworkOptions, seed: u64) -> Self {
        Self {
            options,
            random: Random::new(seed),
            connections: BTreeMap::new(),
            next_number: 1,
            wakes: BTreeSet::new(),
            cuts: BTreeSet::new(),
            clogs: BTreeMap::new(),
        }
    }

    /// Replaces the rates: the world heals.
    pub fn set_options(&mut self, options: NetworkOptions) {
        self.options = options;
    }

    /// A connection from `from`, whose end is 0, to `to`, whose end is 1.
    pub fn open(&mut self, order: Order, from: Place, to: Place) -> ConnectionNumber {
        let number = self.next_number;
        self.next_number += 1;
        let connection = Connection {
            order,
            places: [from, to],
            ways: [Way::default(), Way::default()],
        };
        self.connections.insert(number, connection);
        number
    }

    /// Nothing goes from one place to the other any more.
    pub fn cut(&mut self, from: Place, to: Place) {
        self.cuts.insert((from, to));
    }

    /// The path is open again.
    pub fn mend(&mut self, from: Place, to: Place) {
        self.cuts.remove(&(from, to));
    }

    /// All paths are open.
    pub fn mend_all(&mut self) {
        self.cuts.clear();
        self.clogs.clear();
    }

    /// Nothing arrives on the path before this time; it waits.
    pub fn clog(&mut self, from: Place, to: Place, until_ns: u64) {
        self.clogs.insert((from, to), until_ns);
    }

    /// The connections that both places have a part in.
    #[must_use]
    pub fn between(&self, one: Place, other: Place) -> Vec<ConnectionNumber> {
        let joins = |connection: &Connection| {
            connection.places == [one, other] || connection.places == [other, one]
        };
        let found = self
            .connections
            .iter()
            .filter(|(_, connection)| joins(connection));
        found.map(|(number, _)| *number).collect()
    }

    /// Bytes that `from` put into a connection and that have not arrived.
    #[must_use]
    pub fn backlog_bytes(&self, number: ConnectionNumber, from: Place) -> u64 {
        let Some(connection) = self.connections.get(&number) else {
            return 0;
        };
        let parcels = &connection.ways[way_from(connection, from)].parcels;
        let sizes = parcels.iter().map(|(_, parcel)| match parcel {
            Parcel::Bytes(bytes) => bytes.len() as u64,
            Parcel::Connected | Parcel::End => 0,
        });
        sizes.sum()
    }

    /// Sends bytes, in as many pieces as chance wants where the connection is a stream.
    pub fn send(&mut self, now_ns: u64, number: ConnectionNumber, from: Place, bytes: &[u8]) {
        let Some(order) = self
            .connections
            .get(&number)
            .map(|connection| connection.order)
        else {
            return;
        };
        match order {
            Order::Stream => {
                let mut rest = bytes;
                while rest.len() > 1 && self.random.chance(1, 4) {
                    let at = 1 + self.random.below(rest.len() as u64 - 1);
                    let (piece, behind) = rest.split_at(usize::try_from(at).unwrap_or(1));
                    self.post(now_ns, number, from, Parcel::Bytes(piece.to_vec()));
                    rest = behind;
                }
                self.post(now_ns, number, from, Parcel::Bytes(rest.to_vec()));
            }
            Order::Datagram => {
                if self.random.chance(self.options.loss_permille, 1000) {
                    return;
                }
                let copies = 1 + u64::from(self.random.chance(self.options.double_permille, 1000));
                for _ in 0..copies {
                    let due_ns = self.draw_due_ns(now_ns);
                    self.put(due_ns, number, from, bytes.to_vec());
                }
            }
        }
    }

    fn draw_due_ns(&mut self, now_ns: u64) -> u64 {
        let options = self.options;
        let mut delay_ns = between(&mut self.random, options.delay_ns_min, options.delay_ns_max);
        if self.random.chance(options.late_permille, 1000) {
            delay_ns += self.random.below(options.late_ns.max(1));
        }
        now_ns + delay_ns
    }

    /// A datagram: it arrives when it likes.
    fn put(&mut self, due_ns: u64, number: ConnectionNumber, from: Place, bytes: Vec<u8>) {
        let Some(connection) = self.connections.get_mut(&number) else {
            return;
        };
        let at = way_from(connection, from);
        let way = &mut connection.ways[at];
        if way.is_ended {
            return;
        }
        let due_ns = due_ns.max(way.floor_ns);
        way.newest_ns = way.newest_ns.max(due_ns);
        way.parcels.push((due_ns, Parcel::Bytes(bytes)));
        self.wakes.insert((due_ns, number, at));
    }

    /// Sends in order, behind everything that was sent before: a piece of a stream, a hello, an end.
    pub fn post(&mut self, now_ns: u64, number: ConnectionNumber, from: Place, parcel: Parcel) {
        let due_ns = self.draw_due_ns(now_ns);
        let Some(connection) = self.connections.get_mut(&number) else {
            return;
        };
        let at = way_from(connection, from);
        let way = &mut connection.ways[at];
        if way.is_ended {
            return;
        }
        let due_ns = due_ns.max(way.newest_ns);
        way.newest_ns = due_ns;
        way.floor_ns = due_ns;
        way.is_ended = parcel == Parcel::End;
        way.parcels.push((due_ns, parcel));
        self.wakes.insert((due_ns, number, at));
    }

    /// One side is gone. What it had sent may arrive up to some byte, then the other side learns of the end; nothing
    /// arrives at the side that is gone.
    pub fn close(&mut self, now_ns: u64, number: ConnectionNumber, by: Place, keep: Keep) {
        let Some(connection) = self.connections.get_mut(&number) else {
            return;
        };
        let out = way_from(connection, by);
        let back = &mut connection.ways[1 - out];
        back.parcels.clear();
        let is_over = back.is_ended;
        back.is_ended = true;
        if keep == Keep::SomeBytes {
            let parcels = &mut connection.ways[out].parcels;
            let kept = self.random.below(parcels.len() as u64 + 1);
            parcels.truncate(usize::try_from(kept).unwrap_or(0));
            if let Some((_, Parcel::Bytes(bytes))) = parcels.last_mut() {
                let kept = self.random.below(bytes.len() as u64 + 1);
                bytes.truncate(usize::try_from(kept).unwrap_or(0));
            }
            connection.ways[out].is_ended = false;
        }
        if is_over && connection.ways[out].is_ended && connection.ways[out].parcels.is_empty() {
            self.connections.remove(&number);
            return;
        }
        self.post(now_ns, number, by, Parcel::End);
    }

    /// A fault in the middle: both sides learn of the end, and what was under way is lost from some byte on.
    pub fn break_off(&mut self, now_ns: u64, number: ConnectionNumber) {
        let Some(connection) = self.connections.get_mut(&number) else {
            return;
        };
        for way in &mut connection.ways {
            let kept = self.random.below(way.parcels.len() as u64 + 1);
            way.parcels.truncate(usize::try_from(kept).unwrap_or(0));
            way.is_ended = false;
        }
        let [from, to] = connection.places;
        self.post(now_ns, number, from, Parcel::End);
        self.post(now_ns, number, to, Parcel::End);
    }

    /// When something may arrive next.
    #[must_use]
    pub fn next_event_ns(&self) -> Option<u64> {
        self.wakes.first().map(|(due_ns, _, _)| *due_ns)
    }

    /// Takes what arrives now.
    #[must_use]
    pub fn take_arrivals(&mut self, now_ns: u64) -> Vec<Arrival> {
        let mut arrivals = Vec::new();
        while let Some((due_ns, number, at)) = self.wakes.first().copied() {
            if due_ns > now_ns {
                break;
            }
            self.wakes.remove(&(due_ns, number, at));
            self.arrive(now_ns, number, at, &mut arrivals);
        }
        arrivals
    }

    fn arrive(
        &mut self,
        now_ns: u64,
        number: ConnectionNumber,
        at: usize,
        arrivals: &mut Vec<Arrival>,
    ) {
        let Some(connection) = self.connections.get_mut(&number) else {
            return;
        };
        let (from, to) = (connection.places[at], connection.places[1 - at]);
        let clogged_ns = self.clogs.get(&(from, to)).copied().unwrap_or(0);
        let is_datagram = connection.order == Order::Datagram;
        let way = &mut connection.ways[at];
        let is_cut = self.cuts.contains(&(from, to));
        if is_cut && is_datagram {
            let is_late =
                |due: u64, parcel: &Parcel| due <= now_ns && matches!(parcel, Parcel::Bytes(_));
            way.parcels.retain(|(due, parcel)| !is_late(*due, parcel));
        }
        let Some(first_ns) = way.parcels.iter().map(|(due, _)| *due).min() else {
            return;
        };
        if first_ns > now_ns {
            self.wakes.insert((first_ns, number, at));
            return;
        }
        if is_cut || clogged_ns > now_ns {
            self.wakes
                .insert((clogged_ns.max(now_ns + HELD_NS), number, at));
            return;
        }
        let (mut due, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut way.parcels)
            .into_iter()
            .partition(|(due, _)| *due <= now_ns);
        way.parcels = rest;
        // Stable: parcels of a stream stand in order already.
        due.sort_by_key(|(due_ns, _)| *due_ns);
        if let Some(next_ns) = way.parcels.iter().map(|(due, _)| *due).min() {
            self.wakes.insert((next_ns, number, at));
        }
        let is_over = due.iter().any(|(_, parcel)| *parcel == Parcel::End);
        arrivals.extend(due.into_iter().map(|(_, parcel)| Arrival {
            connection: number,
            at: to,
            parcel,
        }));
        if is_over
            && connection
                .ways
                .iter()
                .all(|way| way.is_ended && way.parcels.is_empty())
        {
            self.connections.remove(&number);
        }
    }
}

/// What becomes of bytes that are under way when their sender closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// They arrive.
    AllBytes,
    /// They arrive up to some byte.
    SomeBytes,
}

fn way_from(connection: &Connection, from: Place) -> usize {
    usize::from(connection.places[0] != from)
}

/// A number in `[min, max]`.
pub(crate) fn between(random: &mut Random, min: u64, max: u64) -> u64 {
    min + random.below(max.saturating_sub(min) + 1)
}
