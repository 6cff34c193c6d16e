//! The SQL engine: parse → bind → plan → execute.

pub mod ast;
pub mod bind;
pub mod context;
pub mod func;
pub mod ir;
pub mod parse;
pub mod system;
