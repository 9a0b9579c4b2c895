//! Where a machine's panic is caught.
//!
//! Unwinding needs `std`, and this crate has none. So the host calls a machine through a function
//! that its owner supplies: `catch` with the feature `std`, which `Registry::new` then uses by
//! itself, and `call` without, which catches nothing.

use alloc::string::String;

/// Calls its argument once; `Err` with the message if that panicked.
pub type Guard = fn(&mut dyn FnMut()) -> Result<(), String>;

/// Catches nothing: a panic goes on unwinding.
///
/// # Errors
/// None.
pub fn call(work: &mut dyn FnMut()) -> Result<(), String> {
    work();
    Ok(())
}

#[cfg(feature = "std")]
pub use unwinding::catch;

#[cfg(feature = "std")]
mod unwinding {
    extern crate std;

    use alloc::borrow::ToOwned;
    use alloc::string::String;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    /// Catches a panic. What it leaves half done is the caller's to throw away, which the host
    /// does.
    ///
    /// # Errors
    /// The message of the panic.
    pub fn catch(work: &mut dyn FnMut()) -> Result<(), String> {
        catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
            let text = payload
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned());
            let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
            text.unwrap_or_else(|| "the panic has no message".to_owned())
        })
    }
}
