//! A table whose places are used again under names that are not.
//!
//! Operations, connections and waiting tasks are found by their place, in constant time; a generation beside
//! the place tells a late completion or a late frame for an earlier tenant from one for the present tenant.

use std::fmt;

/// Names one tenant of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    index: u32,
    generation: u32,
}

impl Key {
    /// The key as one number, for what carries only that (`user_data`, `ConnectionId`).
    pub(super) fn number(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// The key that `number` stands for. Any number is legal; one that was never given out finds nothing.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the two halves are taken apart"
    )]
    pub(super) fn from_number(number: u64) -> Self {
        Self {
            index: number as u32,
            generation: (number >> 32) as u32,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.index, self.generation)
    }
}

/// A place, and how often it was given away.
struct Place<T> {
    generation: u32,
    tenant: Option<T>,
}

/// The table.
pub(super) struct Slots<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
}

impl<T> Slots<T> {
    /// An empty table; it grows to the largest number of tenants at one time.
    pub(super) const fn new() -> Self {
        Self {
            places: Vec::new(),
            free: Vec::new(),
        }
    }

    /// Tenants now.
    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Gives `tenant` a place.
    pub(super) fn insert(&mut self, tenant: T) -> Key {
        if let Some(index) = self.free.pop() {
            let place = &mut self.places[index as usize];
            assert!(place.tenant.is_none(), "free place {index} has a tenant");
            place.tenant = Some(tenant);
            return Key {
                index,
                generation: place.generation,
            };
        }
        let index = u32::try_from(self.places.len()).expect("limits keep tables below 2^32 places");
        self.places.push(Place {
            generation: 1,
            tenant: Some(tenant),
        });
        Key {
            index,
            generation: 1,
        }
    }

    /// The tenant called `key`, if it is still there.
    pub(super) fn find(&self, key: Key) -> Option<&T> {
        let place = self.places.get(key.index as usize)?;
        place
            .tenant
            .as_ref()
            .filter(|_| place.generation == key.generation)
    }

    /// The tenant called `key`, to be changed.
    pub(super) fn find_mut(&mut self, key: Key) -> Option<&mut T> {
        let place = self.places.get_mut(key.index as usize)?;
        place
            .tenant
            .as_mut()
            .filter(|_| place.generation == key.generation)
    }

    /// Ends the tenancy of `key`; the name is never given out again.
    pub(super) fn remove(&mut self, key: Key) -> Option<T> {
        let place = self.places.get_mut(key.index as usize)?;
        if place.generation != key.generation {
            return None;
        }
        let tenant = place.tenant.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(key.index);
        Some(tenant)
    }

    /// All tenants in the order of their places.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        (0..).zip(&self.places).filter_map(|(index, place)| {
            let key = Key {
                index,
                generation: place.generation,
            };
            place.tenant.as_ref().map(|tenant| (key, tenant))
        })
    }

    /// Ends all tenancies.
    pub(super) fn take_all(&mut self) -> Vec<T> {
        let keys: Vec<Key> = self.iter().map(|(key, _)| key).collect();
        keys.into_iter()
            .filter_map(|key| self.remove(key))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_used_again_and_its_old_name_finds_nothing() {
        let mut slots = Slots::new();
        let first = slots.insert("first");
        assert_eq!(slots.remove(first), Some("first"));
        let second = slots.insert("second");
        assert_ne!(first, second);
        assert_eq!(slots.find(first), None);
        assert_eq!(slots.remove(first), None);
        assert_eq!(slots.find(second), Some(&"second"));
        assert_eq!(slots.len(), 1);
    }

    #[test]
    fn a_key_survives_the_way_through_a_number() {
        let mut slots = Slots::new();
        slots.insert(0);
        let key = slots.insert(1);
        assert_eq!(Key::from_number(key.number()), key);
        assert_eq!(slots.find(Key::from_number(u64::MAX)), None);
    }
}
