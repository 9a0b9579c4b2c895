//! What the load generator drives: per session a count and a hash, over all of them a total.
//!
//! The generator computes the same hash chain from what it has issued. So output `n` of a session
//! has count `n` and the chain's value there; a command that was lost, doubled or swapped breaks it
//! at once. Totals grow with the index.
//!
//! ```text
//!  Append   sequence u64 | filler          ->  count u64 | hash u64 | total u64
//!  Mine     (nothing)                      ->  count u64 | hash u64
//!  Total    (nothing)                      ->  total u64
//! ```
//!
//! All layouts are fixed, so that the machine costs next to nothing. A session's state goes with
//! it.

use alloc::vec::Vec;
use margay_machine::{
    Answer, Apply, Commit, Context, Decode, DecodeError, Encode, Machine, Never, Residual,
    SessionChange, SessionId, SessionMap, View, fixed_layout, operations,
};
use xxhash_rust::xxh3::xxh3_64_with_seed;
use zerocopy::little_endian::U64;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes at the start of a payload that hold the sequence number which the generator gave it.
pub const SEQUENCE_BYTES: usize = 8;

/// Counts one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Append<'a> {
    /// The generator's sequence number (u64), and filler up to the size under test.
    pub payload: &'a [u8],
}

impl Encode for Append<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.payload);
    }
}

impl<'a> Decode<'a> for Append<'a> {
    fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        if payload.len() < SEQUENCE_BYTES {
            Err(DecodeError)
        } else {
            Ok(Self { payload })
        }
    }
}

/// The hash after one more command: over the sequence number and the filler, seeded with the hash
/// before.
#[must_use]
pub fn next_hash(hash: u64, payload: &[u8]) -> u64 {
    xxh3_64_with_seed(payload, hash)
}

macro_rules! layout {
    ($(#[$documentation:meta])* $name:ident { $($(#[$about:meta])* $field:ident),* }) => {
        $(#[$documentation])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable,
            KnownLayout, Unaligned,
        )]
        #[repr(C)]
        pub struct $name {
            $($(#[$about])* pub $field: U64,)*
        }

        fixed_layout! { $name }
    };
}

layout! {
    /// What an `Append` comes to.
    Appended {
        /// Commands of this session so far; 0 without a session.
        count,
        /// The session's hash; 0 without a session.
        hash,
        /// Commands of all sessions so far.
        total
    }
}

layout! {
    /// What one session has done.
    Tally {
        /// Its commands.
        count,
        /// The hash over them.
        hash
    }
}

layout! {
    /// Commands of all sessions since the group was created.
    GrandTotal {
        /// So many.
        total
    }
}

layout! {
    /// Asks for the tally of the session that asks.
    Mine {}
}

layout! {
    /// Asks for the total.
    Total {}
}

/// The machine.
#[derive(Debug, Default)]
pub struct Bench {
    total: u64,
    sessions: SessionMap<Tally>,
}

operations! { Bench {
    command 1 Append<'_>;
    query 1 Mine;
    query 2 Total;
    residual
} }

impl Machine for Bench {
    type Options = ();
    type Event = Never;

    fn new((): ()) -> Self {
        Self::default()
    }

    fn on_session(&mut self, session: SessionId, change: SessionChange, _: &mut Context<Self>) {
        match change {
            SessionChange::Opened => self.sessions.push(session, Tally::default()),
            SessionChange::Closed | SessionChange::Expired => {
                let known = self.sessions.remove(session);
                assert!(
                    known.is_some(),
                    "session {session} ends without having begun"
                );
            }
        }
    }
}

impl Apply<Append<'_>> for Bench {
    type Output = Appended;
    const OUTPUT_BYTES_MAX: usize = size_of::<Appended>();

    fn apply(&mut self, commit: Commit<Append<'_>>, _: &mut Context<Self>) -> Appended {
        self.total += 1;
        let tally = commit
            .session
            .and_then(|session| self.sessions.get_mut(session));
        let Some(tally) = tally else {
            return Appended {
                total: self.total.into(),
                ..Appended::default()
            };
        };
        tally.count += 1;
        tally.hash = next_hash(tally.hash.get(), commit.command.payload).into();
        Appended {
            count: tally.count,
            hash: tally.hash,
            total: self.total.into(),
        }
    }
}

impl Answer<Mine> for Bench {
    type Output<'a> = Tally;

    fn answer(&self, _: Mine, view: &View) -> Tally {
        let tally = view.session.and_then(|session| self.sessions.get(session));
        tally.copied().unwrap_or_default()
    }
}

impl Answer<Total> for Bench {
    type Output<'a> = GrandTotal;

    fn answer(&self, _: Total, _: &View) -> GrandTotal {
        GrandTotal {
            total: self.total.into(),
        }
    }
}

/// The state of a `Bench`: total u64, then (session, count, hash) of u64 by ascending session.
#[derive(Debug)]
pub struct FrozenBench {
    total: u64,
    sessions: SessionMap<Tally>,
}

impl Encode for FrozenBench {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.total.to_le_bytes());
        for (session, tally) in self.sessions.iter() {
            out.extend_from_slice(&session.number().to_le_bytes());
            tally.encode(out);
        }
    }
}

impl Decode<'_> for FrozenBench {
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (total, rest) = U64::ref_from_prefix(bytes).map_err(|_| DecodeError)?;
        let rows = <[[U64; 3]]>::ref_from_bytes(rest).map_err(|_| DecodeError)?;
        let mut sessions = SessionMap::new();
        for [session, count, hash] in rows {
            let session = SessionId::new(session.get());
            if sessions.last() >= Some(session) {
                return Err(DecodeError);
            }
            sessions.push(
                session,
                Tally {
                    count: *count,
                    hash: *hash,
                },
            );
        }
        Ok(Self {
            total: total.get(),
            sessions,
        })
    }
}

impl Residual for Bench {
    type Frozen = FrozenBench;

    fn freeze(&self) -> FrozenBench {
        FrozenBench {
            total: self.total,
            sessions: self.sessions.clone(),
        }
    }

    fn restore((): (), frozen: FrozenBench) -> Self {
        Self {
            total: frozen.total,
            sessions: frozen.sessions,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use margay_machine::testing::{self, Drawn, Host, Random, Workload};

    impl Workload for Bench {
        fn draw(random: &mut Random) -> Drawn<Self> {
            Drawn::command(&Append {
                payload: &random.next_number().to_le_bytes(),
            })
        }
    }

    #[test]
    fn a_session_can_prove_what_was_applied() {
        let mut host = Host::<Bench>::new();
        let (one, other) = (host.open(), host.open());
        let mut hash = 0;
        for sequence in 1..=5_u64 {
            let payload = [sequence.to_le_bytes(), [7; 8]].concat();
            hash = next_hash(hash, &payload);
            let appended = host.call(one, &Append { payload: &payload });
            host.call(other, &Append { payload: &payload });
            let expected = Appended {
                count: sequence.into(),
                hash: hash.into(),
                total: (2 * sequence - 1).into(),
            };
            assert_eq!(appended, expected);
        }
        let tally = host.query(one, &Mine {}, |tally| tally);
        assert_eq!((tally.count.get(), tally.hash.get()), (5, hash));
        assert_eq!(host.query(one, &Total {}, |answer| answer.total.get()), 10);
    }

    #[test]
    fn state_goes_with_the_session_and_the_total_stays() {
        let mut host = Host::<Bench>::new();
        let session = host.open();
        host.call(session, &Append { payload: &[0; 8] });
        host.close(session);
        assert_eq!(
            host.query(session, &Mine {}, |tally| tally),
            Tally::default()
        );
        assert_eq!(
            host.query(session, &Total {}, |answer| answer.total.get()),
            1
        );
    }

    #[test]
    fn the_law_holds() {
        testing::check::<Bench>(testing::seeds(100));
    }

    #[test]
    fn no_bytes_make_decoding_panic() {
        testing::check_decoding::<Bench>(testing::seeds(2_000));
    }
}
