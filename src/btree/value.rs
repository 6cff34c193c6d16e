//! Values as readers get them.

use super::node::Stored;
use super::overflow;
use super::search::Source;
use crate::base::{PageId, Result};
use crate::pages::PageRef;
use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

/// A value that keeps what it points into alive: no copy is made of a value that lies in a leaf.
#[derive(Clone)]
pub enum Value {
    InLeaf {
        leaf: PageRef,
        start: usize,
        len: usize,
    },
    Owned(Vec<u8>),
}

impl Value {
    pub(super) fn load(
        source: &impl Source,
        id: PageId,
        leaf: &PageRef,
        stored: Stored,
    ) -> Result<Value> {
        Ok(match stored {
            Stored::Inline { start, len } => Value::InLeaf {
                leaf: leaf.clone(),
                start,
                len,
            },
            Stored::Overflow { len, first } => Value::Owned(overflow::read(
                source,
                PageId {
                    number: first,
                    ..id
                },
                len,
            )?),
        })
    }
}

impl Deref for Value {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Value::InLeaf { leaf, start, len } => &leaf.bytes()[*start..*start + *len],
            Value::Owned(bytes) => bytes,
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self[..].fmt(f)
    }
}

/// The value under a cursor. Its overflow pages are read only when asked for.
pub struct ValueRef<'c> {
    pub(super) view: super::View<'c>,
    pub(super) id: PageId,
    pub(super) leaf: &'c PageRef,
    pub(super) stored: Stored,
}

impl<'c> ValueRef<'c> {
    /// The length in bytes, known without reading overflow pages.
    pub fn byte_len(&self) -> usize {
        match self.stored {
            Stored::Inline { len, .. } => len,
            Stored::Overflow { len, .. } => len as usize,
        }
    }

    /// The bytes: borrowed from the leaf, or read from overflow pages.
    pub fn bytes(&self) -> Result<Cow<'c, [u8]>> {
        Ok(match self.stored {
            Stored::Inline { start, len } => Cow::Borrowed(&self.leaf.bytes()[start..start + len]),
            Stored::Overflow { len, first } => {
                let first = PageId {
                    number: first,
                    ..self.id
                };
                Cow::Owned(overflow::read(&self.view, first, len)?)
            }
        })
    }

    /// The value as a handle that outlives the cursor's step.
    pub fn to_value(&self) -> Result<Value> {
        Value::load(&self.view, self.id, self.leaf, self.stored)
    }
}
