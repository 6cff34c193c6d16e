//! Types of `$n`, given by the client or fixed by the first use that tells.

use std::cell::RefCell;

use crate::base::{Error, Result, SqlState};
use crate::sql::ast::Position;
use crate::types::Type;

pub(super) struct Params {
    /// `Unknown`: mentioned, not yet typed. `None`: not mentioned yet.
    types: RefCell<Vec<Option<Type>>>,
    /// Uses that any type would do for, of parameters that were untyped then.
    untyped: RefCell<Vec<(usize, Position)>>,
    allowed: bool,
}

/// PostgreSQL's limit: the protocol counts parameters in 16 bits.
const PARAMS_MAX: usize = 65535;

impl Params {
    pub(super) fn new(given: &[Option<Type>]) -> Params {
        let known = |ty: &Option<Type>| ty.filter(|&ty| ty != Type::Unknown);
        Params {
            types: RefCell::new(given.iter().map(known).collect()),
            untyped: RefCell::default(),
            allowed: true,
        }
    }

    /// Where parameters cannot be: defaults, checks.
    pub(super) fn none() -> Params {
        Params {
            types: RefCell::default(),
            untyped: RefCell::default(),
            allowed: false,
        }
    }

    /// The type of `$number` so far, or unknown.
    pub(super) fn mention(&self, number: usize, at: Position) -> Result<Type> {
        if !self.allowed || number == 0 || number > PARAMS_MAX {
            return Err(Error::new(
                SqlState::UNDEFINED_PARAMETER,
                format!("there is no parameter ${number}"),
            )
            .at(at));
        }
        let mut types = self.types.borrow_mut();
        if types.len() < number {
            types.resize(number, None);
        }
        Ok(*types[number - 1].get_or_insert(Type::Unknown))
    }

    /// An untyped mention of parameter `index` (from 0) is used as a `ty`.
    pub(super) fn fix(&self, index: usize, ty: Type, at: Position) -> Result<()> {
        let mut types = self.types.borrow_mut();
        match types[index] {
            None | Some(Type::Unknown) => types[index] = Some(ty),
            Some(known) if known == ty => {}
            Some(known) => {
                return Err(Error::new(
                    SqlState::AMBIGUOUS_PARAMETER,
                    format!("inconsistent types deduced for parameter ${}", index + 1),
                )
                .with_detail(format!("{} versus {}", known.sql_name(), ty.sql_name()))
                .at(at));
            }
        }
        Ok(())
    }

    /// An untyped mention of parameter `index` is used as it is. A later use that tells the type
    /// comes too late for PostgreSQL, which takes this as an error.
    pub(super) fn leave_untyped(&self, index: usize, at: Position) {
        self.untyped.borrow_mut().push((index, at));
    }

    pub(super) fn finish(self) -> Result<Vec<Type>> {
        let types = self.types.into_inner();
        let unclear = |code, i| {
            let message = format!("could not determine data type of parameter ${}", i + 1);
            Error::new(code, message)
        };
        let is_known = |ty: &Type| *ty != Type::Unknown;
        for (index, at) in self.untyped.into_inner() {
            if types[index].as_ref().is_some_and(is_known) {
                return Err(unclear(SqlState::AMBIGUOUS_PARAMETER, index).at(at));
            }
        }
        let typed = |(i, ty): (usize, Option<Type>)| {
            ty.filter(is_known)
                .ok_or_else(|| unclear(SqlState::INDETERMINATE_DATATYPE, i))
        };
        types.into_iter().enumerate().map(typed).collect()
    }
}
