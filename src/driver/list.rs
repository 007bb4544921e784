//! Lists through the slots of a slab: O(1) to add, to remove and to move, with no allocation of their own.
//!
//! Promises that `first`, `last` and `len` agree with the links. Knows nothing of what the slots are.

/// No slot.
pub(super) const NONE: u32 = u32::MAX;

/// A slot's neighbours in one list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Links {
    before: u32,
    after: u32,
}

impl Default for Links {
    fn default() -> Links {
        Links { before: NONE, after: NONE }
    }
}

/// A list. `links` of every call picks the slot's links of this list, as a slot can be in several.
#[derive(Clone, Copy, Debug)]
pub(super) struct List {
    first: u32,
    last: u32,
    len: u32,
}

impl Default for List {
    fn default() -> List {
        List { first: NONE, last: NONE, len: 0 }
    }
}

impl List {
    pub(super) fn first(&self) -> u32 {
        self.first
    }

    pub(super) fn last(&self) -> u32 {
        self.last
    }

    pub(super) fn len(&self) -> u32 {
        self.len
    }

    pub(super) fn push_front<S>(&mut self, slots: &mut [S], at: u32, links: fn(&mut S) -> &mut Links) {
        *links(&mut slots[at as usize]) = Links { before: NONE, after: self.first };
        match self.first {
            NONE => self.last = at,
            first => links(&mut slots[first as usize]).before = at,
        }
        self.first = at;
        self.len += 1;
    }

    pub(super) fn push_back<S>(&mut self, slots: &mut [S], at: u32, links: fn(&mut S) -> &mut Links) {
        *links(&mut slots[at as usize]) = Links { before: self.last, after: NONE };
        match self.last {
            NONE => self.first = at,
            last => links(&mut slots[last as usize]).after = at,
        }
        self.last = at;
        self.len += 1;
    }

    /// Takes a slot out. It must be in this list.
    pub(super) fn remove<S>(&mut self, slots: &mut [S], at: u32, links: fn(&mut S) -> &mut Links) {
        let Links { before, after } = std::mem::take(links(&mut slots[at as usize]));
        match before {
            NONE => self.first = after,
            before => links(&mut slots[before as usize]).after = after,
        }
        match after {
            NONE => self.last = before,
            after => links(&mut slots[after as usize]).before = before,
        }
        self.len -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    fn whole(list: &List, slots: &mut [Links]) -> Vec<u32> {
        let (mut forward, mut at) = (Vec::new(), list.first());
        while at != NONE {
            forward.push(at);
            at = slots[at as usize].after;
        }
        forward
    }

    proptest! {
        #[test]
        fn it_does_what_a_deque_does(steps in proptest::collection::vec((0u8..3, 0u32..8), 0..60)) {
            let (mut slots, mut list, mut model) = (vec![Links::default(); 8], List::default(), VecDeque::new());
            for (what, at) in steps {
                let there = model.iter().position(|other| *other == at);
                match (what, there) {
                    (0, None) => { list.push_front(&mut slots, at, |l| l); model.push_front(at); }
                    (1, None) => { list.push_back(&mut slots, at, |l| l); model.push_back(at); }
                    (2, Some(index)) => { list.remove(&mut slots, at, |l| l); model.remove(index); }
                    _ => {}
                }
                prop_assert_eq!(whole(&list, &mut slots), Vec::from(model.clone()));
                prop_assert_eq!(list.len() as usize, model.len());
                prop_assert_eq!(list.last(), model.back().copied().unwrap_or(NONE));
            }
        }
    }
}
