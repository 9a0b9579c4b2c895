//! Byte keys with byte values. A value's version is the index of the entry that wrote it, so
//! versions of all keys grow together, and none is ever given twice.
//!
//! **The state is bounded.** All of it lives in memory, so what its keys and values take is counted, and a command that
//! would grow it past [`Limits::state_bytes_max`] changes nothing and says so: [`Full`]. Whatever does not grow it goes
//! on: reads, deletes, and values that are no longer than those that they replace. Every replica decides the same: the
//! limit is an option of the group, and what is counted follows from the entries alone. A checkpoint does not hold the
//! count; a restored map counts again.

use alloc::sync::Arc;
use core::borrow::Borrow;
use margay_machine::{
    Answer, Apply, Commit, Context, Machine, Never, Residual, View, operations, shared,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Most bytes of an encoded output: an enum's number and a version or two.
const OUTPUT_BYTES: usize = 24;

/// What an entry takes beside its key and its value: its version, and four pieces of memory with their counts of owners
/// and the allocator's own bytes. It is part of what replicas must agree on, and no measurement.
pub const ENTRY_OVERHEAD_BYTES: u64 = 160;

/// Bytes of the state when the options of a group say nothing: as much as etcd's quota does. It stands in no log, so
/// another number here asks for another version of the machine.
pub const STATE_BYTES_MAX: u64 = 2 << 30;

/// The options of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Most bytes of the state: keys, values, and [`ENTRY_OVERHEAD_BYTES`] for each key.
    pub state_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            state_bytes_max: STATE_BYTES_MAX,
        }
    }
}

/// Nothing was changed: the state would have grown past its limit. Delete something, or take a keyspace with more
/// groups or a larger limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Full {
    /// Bytes of the state as it is.
    pub state_bytes: u64,
    /// What it may have at most.
    pub state_bytes_max: u64,
}

/// Sets a key's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Put<'a> {
    /// The key.
    #[serde(serialize_with = "whole")]
    pub key: &'a [u8],
    /// Its value from here on.
    #[serde(serialize_with = "whole")]
    pub value: &'a [u8],
}

/// What a `Put` comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// The version of what was written.
    pub version: u64,
    /// The version of what it replaces.
    pub replaced: Option<u64>,
}

/// Removes a key; gives the version that it had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delete<'a> {
    /// The key.
    #[serde(serialize_with = "whole")]
    pub key: &'a [u8],
}

/// Sets a key's value if it has the version that is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompareAndSet<'a> {
    /// The key.
    #[serde(serialize_with = "whole")]
    pub key: &'a [u8],
    /// The version that it must have; `None`: it must have no value.
    pub expected: Option<u64>,
    /// Its value from here on.
    #[serde(serialize_with = "whole")]
    pub value: &'a [u8],
}

/// What a `CompareAndSet` comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Compared {
    /// The value is set.
    Set {
        /// Its version.
        version: u64,
    },
    /// Nothing was changed.
    Differs {
        /// The version that the key has.
        version: Option<u64>,
    },
    /// Nothing was changed, although the version is as expected.
    Full(Full),
}

/// Asks for a key's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Get<'a> {
    /// The key.
    #[serde(serialize_with = "whole")]
    pub key: &'a [u8],
}

/// A value and its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found<'a> {
    /// The index of the entry that wrote it.
    pub version: u64,
    /// The value.
    #[serde(borrow, serialize_with = "whole")]
    pub value: &'a [u8],
}

/// Writes bytes as one piece; a slice by itself is written byte by byte, in the same format.
fn whole<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

/// Bytes that the map and its frozen copies share.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SharedBytes(Arc<[u8]>);

impl Borrow<[u8]> for SharedBytes {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for SharedBytes {
    fn from(bytes: &[u8]) -> Self {
        Self(Arc::from(bytes))
    }
}

impl Serialize for SharedBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        whole(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for SharedBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&[u8]>::deserialize(deserializer).map(Self::from)
    }
}

/// What a key has.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Versioned {
    version: u64,
    value: SharedBytes,
}

/// The machine.
#[derive(Debug)]
pub struct Map {
    entries: shared::Map<SharedBytes, Versioned>,
    /// What the entries take, as it is counted.
    state_bytes: u64,
    limits: Limits,
}

operations! { Map {
    command 1 Put<'_>;
    command 2 Delete<'_>;
    command 3 CompareAndSet<'_>;
    query 1 Get<'_>;
    residual
} }

impl Map {
    fn version(&self, key: &[u8]) -> Option<u64> {
        self.entries.get(key).map(|versioned| versioned.version)
    }

    /// What the entry of a key takes, as it is counted.
    fn entry_bytes(&self, key: &[u8]) -> u64 {
        let entry = self.entries.get(key);
        entry.map_or(0, |known| entry_bytes(key, known.value.borrow()))
    }

    /// Sets a key's value, unless the state would grow past its limit.
    fn set(&mut self, key: &[u8], value: &[u8], version: u64) -> Result<(), Full> {
        let (before, after) = (self.entry_bytes(key), entry_bytes(key, value));
        let state_bytes = self.state_bytes - before + after;
        let state_bytes_max = self.limits.state_bytes_max;
        if after > before && state_bytes > state_bytes_max {
            return Err(Full {
                state_bytes: self.state_bytes,
                state_bytes_max,
            });
        }
        self.state_bytes = state_bytes;
        let versioned = Versioned {
            version,
            value: value.into(),
        };
        match self.entries.get_mut(key) {
            Some(known) => *known = versioned,
            None => self.entries.insert(key.into(), versioned),
        }
        Ok(())
    }
}

/// What an entry takes, as it is counted.
fn entry_bytes(key: &[u8], value: &[u8]) -> u64 {
    key.len() as u64 + value.len() as u64 + ENTRY_OVERHEAD_BYTES
}

impl Machine for Map {
    type Options = Limits;
    type Event = Never;

    fn new(limits: Limits) -> Self {
        Self::restore(limits, shared::Map::new())
    }
}

impl Apply<Put<'_>> for Map {
    type Output = Result<Written, Full>;
    const OUTPUT_BYTES_MAX: usize = OUTPUT_BYTES;

    fn apply(&mut self, commit: Commit<Put<'_>>, _: &mut Context<Self>) -> Result<Written, Full> {
        let (Put { key, value }, version) = (commit.command, commit.index.number());
        let replaced = self.version(key);
        self.set(key, value, version)?;
        Ok(Written { version, replaced })
    }
}

impl Apply<Delete<'_>> for Map {
    type Output = Option<u64>;
    const OUTPUT_BYTES_MAX: usize = OUTPUT_BYTES;

    fn apply(&mut self, commit: Commit<Delete<'_>>, _: &mut Context<Self>) -> Option<u64> {
        let version = self.version(commit.command.key);
        self.state_bytes -= self.entry_bytes(commit.command.key);
        self.entries.remove(commit.command.key);
        version
    }
}

impl Apply<CompareAndSet<'_>> for Map {
    type Output = Compared;
    const OUTPUT_BYTES_MAX: usize = OUTPUT_BYTES;

    fn apply(&mut self, commit: Commit<CompareAndSet<'_>>, _: &mut Context<Self>) -> Compared {
        let CompareAndSet {
            key,
            expected,
            value,
        } = commit.command;
        let version = self.version(key);
        if version != expected {
            return Compared::Differs { version };
        }
        let version = commit.index.number();
        match self.set(key, value, version) {
            Ok(()) => Compared::Set { version },
            Err(full) => Compared::Full(full),
        }
    }
}

impl Answer<Get<'_>> for Map {
    type Output<'a> = Option<Found<'a>>;

    fn answer<'a>(&'a self, query: Get<'_>, _: &View) -> Option<Found<'a>> {
        let Versioned { version, value } = self.entries.get(query.key)?;
        Some(Found {
            version: *version,
            value: value.borrow(),
        })
    }
}

impl Residual for Map {
    type Frozen = shared::Map<SharedBytes, Versioned>;

    fn freeze(&self) -> Self::Frozen {
        self.entries.clone()
    }

    fn restore(limits: Limits, entries: Self::Frozen) -> Self {
        let counted = entries
            .iter()
            .map(|(key, known)| entry_bytes(key.borrow(), known.value.borrow()));
        Self {
            state_bytes: counted.sum(),
            entries,
            limits,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use margay_machine::testing::{self, Drawn, Host, Random, Workload};
    use margay_machine::{Decode, Encode, SessionId};

    const KEYS: [&[u8]; 4] = [b"", b"a", b"b", b"long enough to be a key of its own"];

    impl Workload for Map {
        fn draw(random: &mut Random) -> Drawn<Self> {
            let key = *random.pick(&KEYS);
            let value = random.next_number().to_le_bytes();
            match random.below(3) {
                0 => Drawn::command(&Put { key, value: &value }),
                1 => Drawn::command(&Delete { key }),
                _ => {
                    let version = random.below(100);
                    let expected = *random.pick(&[None, Some(version)]);
                    Drawn::command(&CompareAndSet {
                        key,
                        expected,
                        value: &value,
                    })
                }
            }
        }
    }

    #[test]
    fn a_value_is_found_with_the_index_that_wrote_it() {
        let mut host = Host::<Map>::new();
        let session = host.open();
        let written = host.call(
            session,
            &Put {
                key: b"k",
                value: b"v",
            },
        );
        assert_eq!(
            written,
            Ok(Written {
                version: 2,
                replaced: None
            })
        );
        host.query(session, &Get { key: b"k" }, |found| {
            assert_eq!(
                found,
                Some(Found {
                    version: 2,
                    value: b"v"
                })
            );
        });
        host.query(session, &Get { key: b"other" }, |found| {
            assert_eq!(found, None)
        });
    }

    #[test]
    fn compare_and_set_changes_nothing_when_the_version_differs() {
        let mut host = Host::<Map>::new();
        let session = host.open();
        let set = |expected| CompareAndSet {
            key: b"k",
            expected,
            value: b"v",
        };
        assert_eq!(
            host.call(session, &set(Some(1))),
            Compared::Differs { version: None }
        );
        assert_eq!(host.call(session, &set(None)), Compared::Set { version: 3 });
        assert_eq!(
            host.call(session, &set(None)),
            Compared::Differs { version: Some(3) }
        );
        assert_eq!(
            host.call(session, &set(Some(3))),
            Compared::Set { version: 5 }
        );
    }

    #[test]
    fn a_deleted_key_has_no_value() {
        let mut host = Host::<Map>::new();
        let session = host.open();
        put(&mut host, session, b"k", b"v").unwrap();
        assert_eq!(host.call(session, &Delete { key: b"k" }), Some(2));
        assert_eq!(host.call(session, &Delete { key: b"k" }), None);
        host.query(session, &Get { key: b"k" }, |found| assert_eq!(found, None));
    }

    /// Room for two entries of one byte each in key and value.
    const TWO: u64 = 2 * (ENTRY_OVERHEAD_BYTES + 2);

    /// A group whose state may have so many bytes, and a session in it.
    fn limited(state_bytes_max: u64) -> (Host<Map>, SessionId) {
        let mut options = Vec::new();
        Limits { state_bytes_max }.encode(&mut options);
        let mut host = Host::with_options(&options);
        let session = host.open();
        (host, session)
    }

    fn put(
        host: &mut Host<Map>,
        session: SessionId,
        key: &[u8],
        value: &[u8],
    ) -> Result<Written, Full> {
        host.call(session, &Put { key, value })
    }

    fn full(state_bytes: u64) -> Full {
        Full {
            state_bytes,
            state_bytes_max: TWO,
        }
    }

    #[test]
    fn a_state_at_its_limit_takes_nothing_that_grows_it_and_all_that_does_not() {
        let (mut host, session) = limited(TWO);
        put(&mut host, session, b"a", b"1").unwrap();
        put(&mut host, session, b"b", b"").unwrap();
        put(&mut host, session, b"b", b"2").expect("to the limit, and not past it");
        assert_eq!(put(&mut host, session, b"c", b""), Err(full(TWO)));
        assert_eq!(put(&mut host, session, b"a", b"11"), Err(full(TWO)));
        let found = |host: &Host<Map>, key: &[u8]| {
            host.query(session, &Get { key }, |found| {
                found.map(|it| it.value.to_vec())
            })
        };
        assert_eq!(found(&host, b"a").unwrap(), b"1", "nothing was changed");
        assert_eq!(found(&host, b"c"), None);
        put(&mut host, session, b"a", b"3").expect("as long as before");
        put(&mut host, session, b"a", b"").expect("shorter");
        put(&mut host, session, b"b", b"22").expect("there was a byte of room");
        assert_eq!(put(&mut host, session, b"a", b"1"), Err(full(TWO)));
    }

    #[test]
    fn a_delete_makes_room() {
        let (mut host, session) = limited(TWO);
        put(&mut host, session, b"a", b"1").unwrap();
        put(&mut host, session, b"b", b"2").unwrap();
        assert_eq!(host.call(session, &Delete { key: b"none" }), None);
        assert_eq!(put(&mut host, session, b"c", b"3"), Err(full(TWO)));
        assert!(host.call(session, &Delete { key: b"a" }).is_some());
        put(&mut host, session, b"c", b"3").expect("a place is free");
        assert_eq!(put(&mut host, session, b"d", b"4"), Err(full(TWO)));
    }

    #[test]
    fn compare_and_set_of_a_full_state_says_whether_the_version_differs_first() {
        let (mut host, session) = limited(TWO);
        put(&mut host, session, b"a", b"1").unwrap();
        put(&mut host, session, b"b", b"2").unwrap();
        let set = |expected| CompareAndSet {
            key: b"c",
            expected,
            value: b"3",
        };
        let differs = Compared::Differs { version: None };
        assert_eq!(host.call(session, &set(Some(1))), differs);
        assert_eq!(host.call(session, &set(None)), Compared::Full(full(TWO)));
    }

    /// What is counted on the way is what is counted at a restore: a rebuilt map is full at the same command, and says
    /// the same number.
    #[test]
    fn a_restored_map_has_as_much_room_as_the_one_that_ran() {
        let (mut host, session) = limited(TWO);
        put(&mut host, session, b"gone", b"with its value").unwrap();
        host.call(session, &Delete { key: b"gone" });
        put(&mut host, session, b"a", b"longer than it stays").unwrap();
        put(&mut host, session, b"a", b"1").unwrap();
        host.rebuild();
        assert_eq!(put(&mut host, session, b"b", b"22"), Err(full(TWO / 2)));
        put(&mut host, session, b"b", b"2").expect("to the limit");
        host.rebuild();
        assert_eq!(put(&mut host, session, b"c", b"3"), Err(full(TWO)));
    }

    /// The README tells how to write the options by hand.
    #[test]
    fn the_options_are_one_number() {
        let told = Limits::decode(b"\x80\x80\x80\x20").unwrap();
        assert_eq!(told.state_bytes_max, 64 << 20);
        assert!(
            Limits::decode(b"\x80\x80\x80\x20\0").is_err(),
            "one byte more"
        );
    }

    #[test]
    fn the_law_holds() {
        testing::check::<Map>(testing::seeds(100));
    }

    #[test]
    fn no_bytes_make_decoding_panic() {
        testing::check_decoding::<Map>(testing::seeds(2_000));
    }
}
