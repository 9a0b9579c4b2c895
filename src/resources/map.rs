//! Byte keys with byte values. A value's version is the index of the entry that wrote it, so
//! versions of all keys grow together, and none is ever given twice.

use alloc::sync::Arc;
use core::borrow::Borrow;
use margay_machine::{
    Answer, Apply, Commit, Context, Machine, Never, Residual, View, operations, shared,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Most bytes of an encoded output: an enum's number and a version or two.
const OUTPUT_BYTES: usize = 24;

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
#[derive(Debug, Default)]
pub struct Map {
    entries: shared::Map<SharedBytes, Versioned>,
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

    fn set(&mut self, key: &[u8], value: &[u8], version: u64) {
        let versioned = Versioned {
            version,
            value: value.into(),
        };
        match self.entries.get_mut(key) {
            Some(known) => *known = versioned,
            None => self.entries.insert(key.into(), versioned),
        }
    }
}

impl Machine for Map {
    type Options = ();
    type Event = Never;

    fn new((): ()) -> Self {
        Self::default()
    }
}

impl Apply<Put<'_>> for Map {
    type Output = Written;
    const OUTPUT_BYTES_MAX: usize = OUTPUT_BYTES;

    fn apply(&mut self, commit: Commit<Put<'_>>, _: &mut Context<Self>) -> Written {
        let (Put { key, value }, version) = (commit.command, commit.index.number());
        let replaced = self.version(key);
        self.set(key, value, version);
        Written { version, replaced }
    }
}

impl Apply<Delete<'_>> for Map {
    type Output = Option<u64>;
    const OUTPUT_BYTES_MAX: usize = OUTPUT_BYTES;

    fn apply(&mut self, commit: Commit<Delete<'_>>, _: &mut Context<Self>) -> Option<u64> {
        let version = self.version(commit.command.key);
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
        self.set(key, value, commit.index.number());
        Compared::Set {
            version: commit.index.number(),
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

    fn restore((): (), entries: Self::Frozen) -> Self {
        Self { entries }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use margay_machine::testing::{self, Drawn, Host, Random, Workload};

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
            Written {
                version: 2,
                replaced: None
            }
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
        host.call(
            session,
            &Put {
                key: b"k",
                value: b"v",
            },
        );
        assert_eq!(host.call(session, &Delete { key: b"k" }), Some(2));
        assert_eq!(host.call(session, &Delete { key: b"k" }), None);
        host.query(session, &Get { key: b"k" }, |found| assert_eq!(found, None));
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
