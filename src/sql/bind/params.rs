//! Types of `$n`, given by the client or fixed by the first use that tells.

use std::cell::RefCell;

use crate::base::{Error, Result, SqlState};
use crate::sql::ast::Position;
use crate::types::Type;

pub(super) struct Params {
    /// `Unknown`: mentioned, not yet typed. `None`: not mentioned yet.
    types: RefCell<Vec<Option<Type>>>,
    allowed: bool,
}

/// PostgreSQL's limit: the protocol counts parameters in 16 bits.
const PARAMS_MAX: usize = 65535;

impl Params {
    pub(super) fn new(given: &[Option<Type>]) -> Params {
        let known = |ty: &Option<Type>| ty.filter(|&ty| ty != Type::Unknown);
        Params {
            types: RefCell::new(given.iter().map(known).collect()),
            allowed: true,
        }
    }

    /// Where parameters cannot be: defaults, checks.
    pub(super) fn none() -> Params {
        Params {
            types: RefCell::new(Vec::new()),
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

    pub(super) fn finish(self) -> Result<Vec<Type>> {
        let types = self.types.into_inner();
        let typed = |(i, ty): (usize, Option<Type>)| match ty {
            Some(ty) if ty != Type::Unknown => Ok(ty),
            _ => Err(Error::new(
                SqlState::INDETERMINATE_DATATYPE,
                format!("could not determine data type of parameter ${}", i + 1),
            )),
        };
        types.into_iter().enumerate().map(typed).collect()
    }
}
