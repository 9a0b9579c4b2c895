//! How an author tests a machine: a host to call by hand, and a law that holds for every machine.
//!
//! ```
//! # use margay_machine::{testing, Apply, Commit, Context, Machine, Never, Residual, operations};
//! # #[derive(serde::Serialize, serde::Deserialize)]
//! # pub struct Add {
//! #     pub by: u64,
//! # }
//! # pub struct Sum(u64);
//! # operations! { Sum { command 1 Add; residual } }
//! # impl Machine for Sum {
//! #     type Options = ();
//! #     type Event = Never;
//! #     fn new(_: ()) -> Self {
//! #         Sum(0)
//! #     }
//! # }
//! # impl Apply<Add> for Sum {
//! #     type Output = u64;
//! #     fn apply(&mut self, commit: Commit<Add>, _: &mut Context<Self>) -> u64 {
//! #         self.0 += commit.command.by;
//! #         self.0
//! #     }
//! # }
//! # impl Residual for Sum {
//! #     type Frozen = u64;
//! #     fn freeze(&self) -> u64 {
//! #         self.0
//! #     }
//! #     fn restore(_: (), sum: u64) -> Self {
//! #         Sum(sum)
//! #     }
//! # }
//! impl testing::Workload for Sum {
//!     fn draw(random: &mut testing::Random) -> testing::Drawn<Self> {
//!         testing::Drawn::command(&Add { by: random.below(10) })
//!     }
//! }
//! testing::check::<Sum>(testing::seeds(20));
//! ```
//!
//! The law: at every index, a machine rebuilt from its checkpoint equals the running one, in its
//! digest and in all that it does from there on; and a command that is repeated gets its first
//! output and changes nothing. A failure names its seed, and `check([seed])` repeats it.

use crate::answers::{Answers, Code, Recipient};
use crate::codec::Decode;
use crate::command_header::CommandHeader;
use crate::guard;
use crate::input::Input;
use crate::limits::Limits;
use crate::operations::{Command, Operations, Query};
use crate::payload::{Open, SessionNumber};
use crate::registry::Registry;
use alloc::vec::Vec;
use core::marker::PhantomData;
use core::time::Duration;
pub use margay_types::Random;
use margay_types::{ClientId, Index, LogTime, OperationId, SequenceNumber, SessionId, Term};
use zerocopy::IntoBytes;

const NAME: &str = "tested";
const STEPS_PER_SEED: u64 = 120;
const TIMEOUT_MS: u32 = 5_000;
const TERM: Term = Term::new(1);

/// One command that a workload has drawn.
pub struct Drawn<M> {
    operation: OperationId,
    bytes: Vec<u8>,
    machine: PhantomData<fn(&M)>,
}

impl<M: Operations> Drawn<M> {
    /// This command.
    #[must_use]
    pub fn command<C: Command<M>>(command: &C) -> Self {
        let mut bytes = Vec::new();
        command.encode(&mut bytes);
        Self {
            operation: C::OPERATION,
            bytes,
            machine: PhantomData,
        }
    }
}

/// What clients of a machine do, at random.
pub trait Workload: Operations {
    /// Draws the next command. Few keys and values, so that commands meet each other.
    fn draw(random: &mut Random) -> Drawn<Self>;
}

/// A group of one machine, whose log is the calls made on it.
pub struct Host<M> {
    registry: Registry,
    host: crate::host::Host,
    answers: Answers,
    now: LogTime,
    clients: u64,
    machine: PhantomData<fn(&M)>,
}

impl<M: Operations> Default for Host<M> {
    fn default() -> Self {
        Self::new()
    }
}

/// What came of a call: an output's bytes, or the code that says why there is none.
type Called = Result<Vec<u8>, Code>;

impl<M: Operations> Host<M> {
    /// A new group with the machine's default options.
    #[must_use]
    pub fn new() -> Self {
        Self::with_options(&[])
    }

    /// A new group with options as they are encoded.
    ///
    /// # Panics
    /// When the options are not the machine's.
    #[must_use]
    pub fn with_options(options: &[u8]) -> Self {
        let registry = Registry::new().machine::<M>(NAME);
        let host = crate::host::Host::new(&registry, NAME, options, Limits::default())
            .expect("options of a test are the machine's");
        Self {
            registry,
            host,
            answers: Answers::new(),
            now: LogTime::ZERO,
            clients: 0,
            machine: PhantomData,
        }
    }

    /// Log time moves on; the next call sees it.
    pub fn advance(&mut self, by: Duration) {
        let nanoseconds = u64::try_from(by.as_nanos()).expect("a test is shorter than 584 years");
        self.now = self.now.plus_ns(nanoseconds);
    }

    /// A new client opens a session.
    pub fn open(&mut self) -> SessionId {
        self.clients += 1;
        let client = ClientId::new(u128::from(self.clients).to_le_bytes());
        let open = Open::new(client, 1, TIMEOUT_MS);
        SessionId::new(self.apply(Input::Open(&open)).number())
    }

    /// A session's client closes it.
    pub fn close(&mut self, session: SessionId) {
        self.apply(Input::Close(session));
    }

    /// The leader proposes to expire a session; it has an effect if that is due.
    pub fn expire(&mut self, session: SessionId) {
        self.apply(Input::Expire(&[SessionNumber::new(session)]));
    }

    /// A tick: log time moves, and nothing else.
    pub fn tick(&mut self) {
        self.apply(Input::Tick);
    }

    /// Calls a command in a session.
    ///
    /// # Panics
    /// When there is no output: the session has ended, or the output is too large.
    pub fn call<C: Command<M>>(&mut self, session: SessionId, command: &C) -> C::Output {
        let drawn = Drawn::command(command);
        let sequence = self.next_sequence(session);
        let bytes = self.call_drawn(session, sequence, &drawn);
        let bytes = bytes.unwrap_or_else(|code| panic!("the call came to {code:?}"));
        C::Output::decode(&bytes).expect("an output decodes as its own type")
    }

    /// Asks a query in a session, and hands the answer to `look`.
    ///
    /// # Panics
    /// When it has no answer.
    pub fn query<Q: Query<M>, R>(
        &self,
        session: SessionId,
        query: &Q,
        look: impl FnOnce(Q::Output<'_>) -> R,
    ) -> R {
        let (mut bytes, mut answer) = (Vec::new(), Vec::new());
        query.encode(&mut bytes);
        let answered = self
            .host
            .answer(Q::OPERATION, &bytes, Some(session), &mut answer);
        answered.unwrap_or_else(|error| panic!("the query came to {error:?}"));
        look(Q::Output::decode(&answer).expect("an answer decodes as its own type"))
    }

    /// The host itself.
    #[must_use]
    pub fn host(&self) -> &crate::host::Host {
        &self.host
    }

    /// Takes a checkpoint, rebuilds from it, demands that nothing differs, and goes on with the
    /// rebuilt one.
    ///
    /// # Panics
    /// When running and rebuilt machine differ.
    pub fn rebuild(&mut self) {
        let rebuilt = self.rebuilt();
        assert!(
            rebuilt.digest() == self.host.digest(),
            "the machine rebuilt at {} differs from the running one",
            self.host.applied_index()
        );
        self.host = rebuilt;
    }

    fn rebuilt(&self) -> crate::host::Host {
        let frozen = self
            .host
            .freeze()
            .unwrap_or_else(|stopped| panic!("{stopped:?}"));
        let mut bytes = Vec::new();
        frozen.encode(&mut bytes);
        crate::host::Host::restore(&self.registry, &bytes)
            .unwrap_or_else(|error| panic!("its own checkpoint does not restore: {error:?}"))
    }

    fn next_sequence(&self, session: SessionId) -> SequenceNumber {
        let view = self.host.session(session);
        view.map_or(SequenceNumber::new(1), |view| view.applied.next())
    }

    fn call_drawn(
        &mut self,
        session: SessionId,
        sequence: SequenceNumber,
        drawn: &Drawn<M>,
    ) -> Called {
        let header = CommandHeader::new(session, sequence, sequence, drawn.operation);
        let mut payload = header.bytes().to_vec();
        payload.extend_from_slice(&drawn.bytes);
        self.host
            .check_command(&payload)
            .unwrap_or_else(|refusal| panic!("the command is refused: {refusal:?}"));
        let command = Input::decode(3, &payload).expect("it was checked just now");
        self.apply(command);
        let wanted = Recipient::Command { session, sequence };
        let mut found = self
            .answers
            .iter()
            .filter(|answer| answer.recipient == wanted);
        let answer = found.next().expect("every command is answered");
        if answer.code == Code::Output {
            Ok(answer.output.to_vec())
        } else {
            Err(answer.code)
        }
    }

    fn apply(&mut self, input: Input<'_>) -> Index {
        self.answers.clear();
        let index = self.host.applied_index().next();
        self.host
            .apply(index, self.now, TERM, input, &mut self.answers)
            .unwrap_or_else(|stopped| panic!("the host has stopped: {stopped:?}"));
        index
    }
}

/// The first `count` seeds.
#[must_use]
pub fn seeds(count: u64) -> core::ops::Range<u64> {
    0..count
}

/// Checks the law for each seed: random sessions, commands, repetitions, time and rebuilds.
///
/// # Panics
/// With the seed, when the law does not hold or the machine panics.
pub fn check<M: Workload>(seeds: impl IntoIterator<Item = u64>) {
    for seed in seeds {
        if let Err(message) = guard::catch(&mut || Run::<M>::new(seed).go()) {
            panic!("seed {seed}: {message}");
        }
    }
}

/// One seed: two hosts take the same steps, and one of them is rebuilt again and again.
struct Run<M: Workload> {
    random: Random,
    running: Host<M>,
    rebuilt: Host<M>,
    sessions: Vec<SessionId>,
}

impl<M: Workload> Run<M> {
    fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            running: Host::new(),
            rebuilt: Host::new(),
            sessions: Vec::new(),
        }
    }

    fn go(&mut self) {
        for _ in 0..STEPS_PER_SEED {
            self.step();
            assert!(
                self.running.host.digest() == self.rebuilt.host.digest(),
                "the rebuilt machine went another way by {}",
                self.running.host.applied_index()
            );
            if self.random.below(3) == 0 {
                self.rebuilt.rebuild();
            }
        }
    }

    fn step(&mut self) {
        let elapsed = Duration::from_millis(self.random.below(400));
        self.both(|host| host.advance(elapsed));
        match self.random.below(20) {
            0 | 1 => {
                self.both(|host| _ = host.open());
                let opened = self.running.host.applied_index();
                self.sessions.push(SessionId::new(opened.number()));
            }
            2 => self.with_session(Host::close),
            3 => self.with_session(Host::expire),
            4 => {
                let silence = Duration::from_secs(self.random.below(8));
                self.both(|host| host.advance(silence));
            }
            5 => self.both(Host::tick),
            _ => self.command(),
        }
    }

    fn both(&mut self, step: impl Fn(&mut Host<M>)) {
        step(&mut self.running);
        step(&mut self.rebuilt);
    }

    /// Any session, also one that has ended.
    fn with_session(&mut self, step: impl Fn(&mut Host<M>, SessionId)) {
        if !self.sessions.is_empty() {
            let session = *self.random.pick(&self.sessions);
            self.both(|host| step(host, session));
        }
    }

    fn command(&mut self) {
        if self.sessions.is_empty() {
            return;
        }
        let session = *self.random.pick(&self.sessions);
        let drawn = M::draw(&mut self.random);
        let sequence = self.running.next_sequence(session);
        let first = self.running.call_drawn(session, sequence, &drawn);
        let other = self.rebuilt.call_drawn(session, sequence, &drawn);
        assert!(
            first == other,
            "the rebuilt machine answers otherwise at {sequence} of {session}"
        );
        if self.random.below(5) == 0 {
            let other = M::draw(&mut self.random);
            let again = self.running.call_drawn(session, sequence, &other);
            assert!(
                first == again,
                "the repetition of {sequence} of {session} was executed"
            );
            self.rebuilt.rebuild();
            let again = self.rebuilt.call_drawn(session, sequence, &other);
            assert!(first == again, "a repetition after a rebuild was executed");
        }
    }
}

/// Decodes any bytes as commands and queries of a machine: nothing may panic.
///
/// # Panics
/// With the seed, when a decoder does.
pub fn check_decoding<M: Operations>(seeds: impl IntoIterator<Item = u64>) {
    let host = Host::<M>::new();
    for seed in seeds {
        let mut random = Random::new(seed);
        let length = random.below(64);
        let bytes: Vec<u8> = (0..length)
            .map(|_| random.next_number().as_bytes()[0])
            .collect();
        let operation = u16::try_from(random.below(16)).expect("it is below 16");
        let operation = OperationId::new(operation);
        let outcome = guard::catch(&mut || _ = M::check_operation(operation, &bytes));
        outcome.unwrap_or_else(|message| panic!("seed {seed}: {message}"));
        let answered = host.host.answer(operation, &bytes, None, &mut Vec::new());
        if let Err(crate::reading::QueryError::Panicked { message }) = answered {
            panic!("seed {seed}: {message}");
        }
    }
}
