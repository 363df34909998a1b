//! A short list that needs no memory of its own.

use ringfort_cose::Reason;

/// Up to `N` items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct List<T, const N: usize> {
    items: [Option<T>; N],
}

impl<T: Copy, const N: usize> List<T, N> {
    /// The empty list.
    pub const EMPTY: List<T, N> = List { items: [None; N] };

    /// A list of these items.
    ///
    /// # Errors
    /// `too-large` for more than `N`.
    pub fn from_slice(items: &[T]) -> Result<List<T, N>, Reason> {
        let mut list = List::EMPTY;
        items.iter().try_for_each(|item| list.push(*item))?;
        Ok(list)
    }

    /// Adds an item at the end.
    ///
    /// # Errors
    /// `too-large` when there are `N` already.
    pub fn push(&mut self, item: T) -> Result<(), Reason> {
        *self.items.iter_mut().find(|slot| slot.is_none()).ok_or(Reason::TooLarge)? = Some(item);
        Ok(())
    }

    /// The items.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.items.iter().flatten()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
