//! How many commands of a session may be on the wire, learnt from what was refused.
//!
//! ```text
//!   places    window ─┐            ┌─ grows by a part for each round of answers
//!                     └── half ────┘
//!                       refused: too much to do
//! ```
//!
//! A leader with too much to do takes nothing of what is sent behind a command that it refused: everything is sent
//! again, and refused again. So a session that is refused sends half as much from then on, one command at the least,
//! and more again when answers come. All sessions together find what the leader can do, and few refusals are left.

/// For each round of answers the places grow by one, and by one for so many that there are.
const PLACES_PER_GROWTH: u32 = 16;

/// The places of one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allowance {
    places: u32,
    /// Answers since the places last grew.
    answered: u32,
}

impl Allowance {
    /// Nothing was refused so far.
    pub(crate) const fn new() -> Self {
        Self {
            places: u32::MAX,
            answered: 0,
        }
    }

    /// May another command leave, with so many on the wire?
    pub(crate) fn has_place(self, on_wire: u64) -> bool {
        on_wire < u64::from(self.places)
    }

    /// The leader had too much to do, when so many were on the wire in front of what it refused.
    pub(crate) fn on_refused(&mut self, on_wire: u64) {
        let on_wire = u32::try_from(on_wire).unwrap_or(u32::MAX);
        self.places = (self.places.min(on_wire) / 2).max(1);
        self.answered = 0;
    }

    /// A command was answered; `window` is what the group allows in any case.
    pub(crate) fn on_answered(&mut self, window: u32) {
        if self.places == u32::MAX {
            return;
        }
        self.answered += 1;
        if self.answered < self.places {
            return;
        }
        self.answered = 0;
        self.places += 1 + self.places / PLACES_PER_GROWTH;
        if self.places >= window {
            *self = Self::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_halves_what_is_sent_down_to_one() {
        let mut allowance = Allowance::new();
        assert!(allowance.has_place(1 << 20));
        allowance.on_refused(64);
        assert!(allowance.has_place(31) && !allowance.has_place(32));
        for _ in 0..10 {
            allowance.on_refused(64);
        }
        assert!(allowance.has_place(0) && !allowance.has_place(1));
    }

    #[test]
    fn answers_give_places_back_until_the_window_is_the_only_bound() {
        let mut allowance = Allowance::new();
        allowance.on_refused(0);
        let mut answers = 0;
        while allowance != Allowance::new() {
            allowance.on_answered(64);
            answers += 1;
        }
        // Growing by one a round from 1 to 16, and by up to four later.
        assert!((300..1_500).contains(&answers), "{answers}");
    }
}
