//! Histories made by hand, and what must be found in them.
