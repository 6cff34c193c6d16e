//! What a client asks, already taken out of its bytes.

use smallvec::SmallVec;

use crate::session::client::Formats;

#[derive(Debug)]
pub enum Request<'a> {
    Query(&'a str),
    Parse {
        name: &'a str,
        text: &'a str,
        /// Type OIDs; 0 leaves a parameter's type to be inferred.
        types: SmallVec<[u32; 8]>,
    },
    Bind(Bind<'a>),
    Describe(Target<'a>),
    Close(Target<'a>),
    Execute {
        portal: &'a str,
        /// 0 and less: all.
        max_rows: i32,
    },
    Flush,
    Sync,
}

#[derive(Debug)]
pub struct Bind<'a> {
    pub portal: &'a str,
    pub statement: &'a str,
    /// None (all text), one for all, or one for each parameter.
    pub param_formats: SmallVec<[i16; 8]>,
    pub params: SmallVec<[Option<&'a [u8]>; 8]>,
    pub result_formats: Formats,
}

#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    Statement(&'a str),
    Portal(&'a str),
}
