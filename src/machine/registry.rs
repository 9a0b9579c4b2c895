//! The machines that a binary knows, by name, and the seam behind which their types end.

use crate::codec::{Decode, DecodeError};
use crate::context::{Context, SessionChange, View};
use crate::digest::Digest;
use crate::guard::{self, Guard};
use crate::machine::Machine;
use crate::operations::{Call, Frozen, Operations, Place, Unfit};
use crate::session_table::SessionTable;
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use margay_types::{OperationId, SessionId};

/// A machine of whichever type.
pub(crate) trait AnyMachine {
    fn apply(
        &mut self,
        call: Call<'_>,
        sessions: &SessionTable,
        out: &mut Vec<u8>,
    ) -> Result<(), Unfit>;
    fn on_session(&mut self, change: SessionChange, place: Place, sessions: &SessionTable);
    fn answer(
        &self,
        operation: OperationId,
        bytes: &[u8],
        view: &View,
        out: &mut Vec<u8>,
    ) -> Result<(), Unfit>;
    fn freeze(&self) -> Box<dyn Frozen>;
    fn digest(&self, digest: &mut Digest);
}

impl<M: Operations> AnyMachine for M {
    fn apply(
        &mut self,
        call: Call<'_>,
        sessions: &SessionTable,
        out: &mut Vec<u8>,
    ) -> Result<(), Unfit> {
        let mut context = Context::new(call.place.index, call.place.time, sessions);
        self.apply_operation(call, &mut context, out)
    }

    fn on_session(&mut self, change: SessionChange, place: Place, sessions: &SessionTable) {
        let session: SessionId = place.session.expect("a change is of a session");
        let mut context = Context::new(place.index, place.time, sessions);
        Machine::on_session(self, session, change, &mut context);
    }

    fn answer(
        &self,
        operation: OperationId,
        bytes: &[u8],
        view: &View,
        out: &mut Vec<u8>,
    ) -> Result<(), Unfit> {
        self.answer_operation(operation, bytes, view, out)
    }

    fn freeze(&self) -> Box<dyn Frozen> {
        self.freeze_state()
    }

    fn digest(&self, digest: &mut Digest) {
        Machine::digest(self, digest);
    }
}

/// A machine made from bytes.
pub(crate) type Made = Result<Box<dyn AnyMachine>, DecodeError>;

/// What is known of a type of machine without having one.
#[derive(Clone, Copy)]
pub(crate) struct MachineType {
    pub(crate) version: u32,
    pub(crate) new: fn(&[u8]) -> Made,
    pub(crate) restore: fn(&[u8], &[u8]) -> Made,
    pub(crate) check: fn(OperationId, &[u8]) -> Result<usize, Unfit>,
    pub(crate) output_bytes_max: fn(OperationId) -> Option<usize>,
}

fn options<M: Machine>(bytes: &[u8]) -> Result<M::Options, DecodeError> {
    if bytes.is_empty() {
        Ok(M::Options::default())
    } else {
        M::Options::decode(bytes)
    }
}

impl MachineType {
    fn of<M: Operations>() -> Self {
        Self {
            version: M::VERSION,
            new: |bytes| Ok(Box::new(M::new(options::<M>(bytes)?))),
            restore: |bytes, residual| {
                Ok(Box::new(M::restore_state(options::<M>(bytes)?, residual)?))
            },
            check: M::check_operation,
            output_bytes_max: M::output_bytes_max,
        }
    }
}

/// No machine of this binary has the name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this binary has no machine called {name}")]
pub struct UnknownMachine {
    /// The name asked for.
    pub name: String,
}

/// The machines that a binary knows. A group names one when it is created.
#[derive(Clone)]
pub struct Registry {
    machines: Vec<(&'static str, MachineType)>,
    pub(crate) guard: Guard,
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl Registry {
    /// No machines. Panics are caught if this crate has its feature `std`.
    #[must_use]
    pub fn new() -> Self {
        #[cfg(feature = "std")]
        let guard: Guard = guard::catch;
        #[cfg(not(feature = "std"))]
        let guard: Guard = guard::call;
        Self {
            machines: Vec::new(),
            guard,
        }
    }

    /// Calls machines through `guard` instead.
    #[must_use]
    pub fn with_guard(mut self, guard: Guard) -> Self {
        self.guard = guard;
        self
    }

    /// Adds a machine.
    ///
    /// # Panics
    /// When the name is taken.
    #[must_use]
    pub fn machine<M: Operations>(mut self, name: &'static str) -> Self {
        assert!(self.lookup(name).is_err(), "two machines are called {name}");
        self.machines.push((name, MachineType::of::<M>()));
        self
    }

    /// The names, in the order in which they were added.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.machines.iter().map(|(name, _)| *name)
    }

    /// The version of a machine that this binary has.
    ///
    /// # Errors
    /// It has no such machine.
    pub fn version(&self, name: &str) -> Result<u32, UnknownMachine> {
        self.lookup(name).map(|machine| machine.version)
    }

    /// Could a group be created with these options? Asked before one is.
    ///
    /// # Errors
    /// There is no such machine (`Err`), or the options are not its own (`Ok(false)`).
    pub fn takes_options(&self, name: &str, bytes: &[u8]) -> Result<bool, UnknownMachine> {
        let machine = self.lookup(name)?;
        let mut taken = false;
        let outcome = (self.guard)(&mut || taken = (machine.new)(bytes).is_ok());
        Ok(outcome.is_ok() && taken)
    }

    pub(crate) fn lookup(&self, name: &str) -> Result<MachineType, UnknownMachine> {
        let found = self.machines.iter().find(|(known, _)| *known == name);
        found
            .map(|(_, machine)| *machine)
            .ok_or_else(|| UnknownMachine {
                name: name.to_string(),
            })
    }
}
