//! Where new pages of a tree go.

use crate::base::{PageId, Result};
use crate::pages::{Batch, Page};

/// Takes whole new pages: a batch that is to be committed, or the data file before the commit.
pub trait Sink {
    /// A page that nobody uses.
    fn allocate(&mut self) -> Result<PageId>;

    /// Sets the content of a page that [`Sink::allocate`] gave, once.
    fn write(&mut self, page: PageId, content: &Page) -> Result<()>;
}

/// A space's pages in a batch.
pub(super) struct InBatch<'b, 'a> {
    pub(super) batch: &'b mut Batch<'a>,
    pub(super) space: u32,
}

impl Sink for InBatch<'_, '_> {
    fn allocate(&mut self) -> Result<PageId> {
        self.batch.allocate(self.space)
    }

    fn write(&mut self, page: PageId, content: &Page) -> Result<()> {
        self.batch.edit(page)?.replace(content);
        Ok(())
    }
}
