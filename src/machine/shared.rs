//! An ordered map that is copied in constant time: what a residual is made of.
//!
//! A copy shares everything with its original; a later change copies only the path to what it
//! changes (persistent red-black tree of `rpds`, with atomic counts, so that a frozen copy may be
//! written by another thread). Without a copy outstanding, changes happen in place.

use alloc::borrow::ToOwned;
use core::borrow::Borrow;
use core::ops::RangeBounds;
use rpds::RedBlackTreeMapSync;

/// A persistent map, ordered by key.
#[derive(Clone, Debug)]
pub struct Map<K: Ord + Clone, V: Clone> {
    tree: RedBlackTreeMapSync<K, V>,
}

impl<K: Ord + Clone, V: Clone> Default for Map<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Ord + Clone, V: Clone> Map<K, V> {
    /// An empty map.
    #[must_use]
    pub fn new() -> Self {
        Self {
            tree: RedBlackTreeMapSync::new_sync(),
        }
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tree.size()
    }

    /// Is there no key?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tree.is_empty()
    }

    /// The value of `key`.
    #[must_use]
    pub fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.tree.get(key)
    }

    /// The value of `key`, to be changed.
    pub fn get_mut<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.tree.get_mut(key)
    }

    /// Is there a value of `key`?
    #[must_use]
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.tree.contains_key(key)
    }

    /// Sets the value of `key`.
    pub fn insert(&mut self, key: K, value: V) {
        self.tree.insert_mut(key, value);
    }

    /// Removes `key`, and says whether it was there.
    pub fn remove<Q>(&mut self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.tree.remove_mut(key)
    }

    /// The value of `key`, after setting it to `value()` if there is none.
    pub fn get_or_insert_with<Q>(&mut self, key: &Q, value: impl FnOnce() -> V) -> &mut V
    where
        K: Borrow<Q>,
        Q: Ord + ToOwned<Owned = K> + ?Sized,
    {
        if !self.tree.contains_key(key) {
            self.tree.insert_mut(key.to_owned(), value());
        }
        self.tree
            .get_mut(key)
            .expect("the key is there, or was inserted just now")
    }

    /// The least key and its value.
    #[must_use]
    pub fn first(&self) -> Option<(&K, &V)> {
        self.tree.first()
    }

    /// All keys and values, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.tree.iter()
    }

    /// The keys in `range` and their values, in the order of the keys.
    pub fn range<Q>(&self, range: impl RangeBounds<Q>) -> impl Iterator<Item = (&K, &V)>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.tree.range(range)
    }
}

impl<K: Ord + Clone, V: Clone> FromIterator<(K, V)> for Map<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let mut map = Self::new();
        for (key, value) in pairs {
            map.insert(key, value);
        }
        map
    }
}

impl<K: Ord + Clone, V: Clone + PartialEq> PartialEq for Map<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

#[cfg(feature = "postcard")]
mod through_serde {
    use super::Map;
    use core::fmt;
    use core::marker::PhantomData;
    use serde::de::{MapAccess, Visitor};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    impl<K, V> Serialize for Map<K, V>
    where
        K: Ord + Clone + Serialize,
        V: Clone + Serialize,
    {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_map(self.tree.iter())
        }
    }

    struct Pairs<K, V>(PhantomData<(K, V)>);

    impl<'de, K, V> Visitor<'de> for Pairs<K, V>
    where
        K: Ord + Clone + Deserialize<'de>,
        V: Clone + Deserialize<'de>,
    {
        type Value = Map<K, V>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a map")
        }

        /// The announced length is not believed: the map grows by what is really there.
        fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Self::Value, A::Error> {
            let mut map = Map::new();
            while let Some((key, value)) = pairs.next_entry()? {
                map.insert(key, value);
            }
            Ok(map)
        }
    }

    impl<'de, K, V> Deserialize<'de> for Map<K, V>
    where
        K: Ord + Clone + Deserialize<'de>,
        V: Clone + Deserialize<'de>,
    {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_map(Pairs(PhantomData))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_does_not_see_later_changes() {
        let mut map: Map<u64, u64> = (0..100).map(|key| (key, key)).collect();
        let copy = map.clone();
        *map.get_mut(&7).unwrap() = 700;
        map.remove(&8);
        assert_eq!(copy.get(&7), Some(&7));
        assert!(copy.contains_key(&8));
        assert_eq!(map.get(&7), Some(&700));
    }

    #[test]
    fn a_missing_value_is_inserted_once() {
        let mut map: Map<alloc::string::String, u64> = Map::new();
        *map.get_or_insert_with("a", || 1) += 1;
        *map.get_or_insert_with("a", || 1) += 1;
        assert_eq!(map.get("a"), Some(&3));
        assert_eq!(map.len(), 1);
    }
}
