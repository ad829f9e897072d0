//! Things with an id, kept at small numbers that are used again, so that a timer or a socket names its owner in a word.

use std::collections::HashMap;

/// A table of things. The number of one that has gone may be given to the next; its generation tells them apart.
#[derive(Debug)]
pub struct Slots<T> {
    entries: Vec<Entry<T>>,
    free: Vec<u32>,
    by_id: HashMap<u64, u32>,
}

#[derive(Debug)]
struct Entry<T> {
    generation: u32,
    value: Option<Box<T>>,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            free: Vec::new(),
            by_id: HashMap::new(),
        }
    }
}

impl<T> Slots<T> {
    /// Keep `value`, made from its number and generation, under `id`.
    pub fn insert(&mut self, id: u64, make: impl FnOnce(u32, u32) -> T) -> u32 {
        let index = self.free.pop().unwrap_or_else(|| {
            self.entries.push(Entry {
                generation: 0,
                value: None,
            });
            (self.entries.len() - 1) as u32
        });
        let entry = &mut self.entries[index as usize];
        entry.value = Some(Box::new(make(index, entry.generation)));
        self.by_id.insert(id, index);
        index
    }

    /// The number of `id`.
    pub fn find(&self, id: u64) -> Option<u32> {
        self.by_id.get(&id).copied()
    }

    /// What is kept at a number.
    pub fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.entries.get_mut(index as usize)?.value.as_deref_mut()
    }

    /// What is kept at two numbers; the second is nothing if they are one.
    pub fn pair_mut(&mut self, a: u32, b: u32) -> (Option<&mut T>, Option<&mut T>) {
        if a == b {
            return (self.get_mut(a), None);
        }
        match self.entries.get_disjoint_mut([a as usize, b as usize]) {
            Ok([a, b]) => (a.value.as_deref_mut(), b.value.as_deref_mut()),
            Err(_) => (None, None),
        }
    }

    /// Whether the number still belongs to the one that had it in `generation`.
    pub fn is_current(&self, index: u32, generation: u32) -> bool {
        self.entries
            .get(index as usize)
            .is_some_and(|entry| entry.generation == generation && entry.value.is_some())
    }

    /// Let go of `id`.
    pub fn remove(&mut self, id: u64) -> Option<Box<T>> {
        let index = self.by_id.remove(&id)?;
        let entry = &mut self.entries[index as usize];
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(index);
        entry.value.take()
    }

    /// All ids.
    pub fn ids(&self) -> Vec<u64> {
        self.by_id.keys().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_used_again_in_another_generation() {
        let mut slots: Slots<&str> = Slots::default();
        let first = slots.insert(10, |_, _| "first");
        assert!(slots.is_current(first, 0));
        assert_eq!(slots.remove(10).as_deref(), Some(&"first"));
        assert!(!slots.is_current(first, 0));
        let second = slots.insert(
            11,
            |_, generation| if generation == 1 { "second" } else { "wrong" },
        );
        assert_eq!(first, second);
        assert!(
            !slots.is_current(second, 0),
            "an event of the first is not one of the second"
        );
        assert_eq!(slots.get_mut(second), Some(&mut "second"));
        assert_eq!(
            (slots.find(10), slots.find(11), slots.ids()),
            (None, Some(second), vec![11])
        );
    }
}
