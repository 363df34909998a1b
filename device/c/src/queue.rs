//! What is still to be done, in order.

use ringfort_device::{Action, Actions};

/// A queue with room for several of the machine's longest lists.
#[derive(Default)]
pub(crate) struct Queue {
    items: [Option<Action>; Queue::MAX],
    len: usize,
}

impl Queue {
    const MAX: usize = 4 * Actions::MAX;

    /// The next thing to do.
    pub(crate) fn pop(&mut self) -> Option<Action> {
        let first = self.items.first_mut().and_then(Option::take)?;
        self.items.rotate_left(1);
        self.len -= 1;
        Some(first)
    }

    /// What an event asks for comes before what was asked for earlier. False when it does not fit,
    /// which no list of the machine's leads to.
    #[must_use]
    pub(crate) fn put_first(&mut self, actions: Actions) -> bool {
        let count = actions.iter().count();
        if self.len + count > Queue::MAX {
            return false;
        }
        self.items.rotate_right(count);
        self.items.iter_mut().zip(actions.iter()).for_each(|(place, action)| *place = Some(action));
        self.len += count;
        true
    }

    /// Adds to the end.
    #[must_use]
    pub(crate) fn put_last(&mut self, action: Action) -> bool {
        match self.items.get_mut(self.len) {
            Some(place) => {
                *place = Some(action);
                self.len += 1;
                true
            }
            None => false,
        }
    }

    /// Drops everything like this.
    pub(crate) fn without(&mut self, unwanted: Action) {
        let mut kept = Queue::default();
        while let Some(action) = self.pop() {
            if action != unwanted {
                // As much as came out goes in.
                let _ = kept.put_last(action);
            }
        }
        *self = kept;
    }

    /// Drops everything.
    pub(crate) fn clear(&mut self) {
        *self = Queue::default();
    }
}

#[cfg(test)]
mod tests {
    use ringfort_cose::Reason;
    use ringfort_device::Actions;
    use ringfort_trust::ids::AnchorsVersion;

    use super::*;

    #[test]
    fn first_comes_what_was_put_first() {
        let mut queue = Queue::default();
        assert!(queue.put_last(Action::Persist) && queue.put_last(Action::Restart));
        assert!(queue.put_first(Actions::default()));
        queue.without(Action::Restart);
        assert!(queue.put_last(Action::Refused(Reason::Expired)));
        assert_eq!(queue.pop(), Some(Action::Persist));
        assert_eq!(queue.pop(), Some(Action::Refused(Reason::Expired)));
        assert_eq!(queue.pop(), None);
    }

    #[test]
    fn a_full_queue_takes_no_more() {
        let mut queue = Queue::default();
        let added = (0..100).filter(|n| queue.put_last(Action::FetchAnchors(AnchorsVersion(*n))));
        assert_eq!(added.count(), Queue::MAX);
        assert_eq!(queue.pop(), Some(Action::FetchAnchors(AnchorsVersion(0))));
    }
}
