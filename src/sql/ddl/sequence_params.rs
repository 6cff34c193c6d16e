//! What the options of CREATE and ALTER SEQUENCE come to, by PostgreSQL's rules and in the order of
//! its checks.

use crate::base::{Error, Result, SqlState};
use crate::sql::ast::SequenceOptions;
use crate::sql::bind::resolve_type;
use crate::table::{Position, SequenceDef, SequenceParams};
use crate::types::Type;

/// What a sequence is for: decides over its type.
#[derive(Clone, Copy)]
pub(super) enum Defaults {
    New,
    Serial(Type),
    Identity(Type),
}

/// What a sequence gives, and where it stands.
pub(super) struct Made {
    pub params: SequenceParams,
    pub at: Position,
}

/// A new sequence.
///
/// # Errors
/// 22023 for values that do not fit together.
pub(super) fn make(options: &SequenceOptions, defaults: Defaults) -> Result<Made> {
    let ty = match defaults {
        Defaults::New => option_type(options)?.unwrap_or(Type::Int8),
        Defaults::Serial(ty) | Defaults::Identity(ty) => ty,
    };
    let (least, most) = limits(ty, defaults)?;
    let increment = increment(options)?.unwrap_or(1);
    let ascends = increment > 0;
    let max = options.max.flatten();
    let max = max.unwrap_or(if ascends { most } else { -1 });
    let min = options.min.flatten();
    let min = min.unwrap_or(if ascends { 1 } else { least });
    let params = SequenceParams {
        ty,
        start: options.start.unwrap_or(if ascends { min } else { max }),
        increment,
        min,
        max,
        cache: 1,
        cycle: options.cycle.unwrap_or(false),
    };
    let at = Position {
        last: params.start,
        is_called: false,
    };
    finish(params, at, options, (least, most))
}

/// A sequence with some options changed.
///
/// # Errors
/// As [`make`].
pub(super) fn change(
    old: &SequenceDef,
    at: Position,
    options: &SequenceOptions,
    defaults: Defaults,
) -> Result<Made> {
    let mut params = old.params;
    let (old_least, old_most) = limits(params.ty, defaults)?;
    params.ty = option_type(options)?.unwrap_or(params.ty);
    let (least, most) = limits(params.ty, defaults)?;
    // Limits that were those of the old type become those of the new one.
    let changes_type = params.ty != old.params.ty;
    let (resets_max, resets_min) = (
        changes_type && params.max == old_most,
        changes_type && params.min == old_least,
    );
    params.increment = increment(options)?.unwrap_or(params.increment);
    params.cycle = options.cycle.unwrap_or(params.cycle);
    let ascends = params.increment > 0;
    match options.max {
        Some(Some(max)) => params.max = max,
        None if !resets_max => {}
        _ => params.max = if ascends || resets_max { most } else { -1 },
    }
    match options.min {
        Some(Some(min)) => params.min = min,
        None if !resets_min => {}
        _ => params.min = if !ascends || resets_min { least } else { 1 },
    }
    params.start = options.start.unwrap_or(params.start);
    finish(params, at, options, (least, most))
}

/// What decides over the values to come; a start does not until a restart.
pub(super) fn decides(params: &SequenceParams) -> SequenceParams {
    SequenceParams {
        start: 0,
        ..*params
    }
}

fn option_type(options: &SequenceOptions) -> Result<Option<Type>> {
    let ty = options.ty.as_ref().map(|(ty, _)| resolve_type(ty));
    Ok(ty.transpose()?.map(|(ty, _)| ty))
}

fn increment(options: &SequenceOptions) -> Result<Option<i64>> {
    match options.increment {
        Some(0) => wrong("INCREMENT must not be zero".to_owned()),
        increment => Ok(increment),
    }
}

/// The least and the greatest value of a type.
fn limits(ty: Type, defaults: Defaults) -> Result<(i64, i64)> {
    match ty {
        Type::Int2 => Ok((i16::MIN.into(), i16::MAX.into())),
        Type::Int4 => Ok((i32::MIN.into(), i32::MAX.into())),
        Type::Int8 => Ok((i64::MIN, i64::MAX)),
        _ => wrong(format!(
            "{} type must be smallint, integer, or bigint",
            match defaults {
                Defaults::Identity(_) => "identity column",
                _ => "sequence",
            }
        )),
    }
}

/// Checks what has been chosen; restarts and sets the cache.
fn finish(
    mut params: SequenceParams,
    mut at: Position,
    options: &SequenceOptions,
    (least, most): (i64, i64),
) -> Result<Made> {
    let SequenceParams { ty, min, max, .. } = params;
    for (what, bound) in [("MAXVALUE", max), ("MINVALUE", min)] {
        if bound < least || bound > most {
            let ty = ty.sql_name();
            return wrong(format!(
                "{what} ({bound}) is out of range for sequence data type {ty}"
            ));
        }
    }
    if min >= max {
        return wrong(format!(
            "MINVALUE ({min}) must be less than MAXVALUE ({max})"
        ));
    }
    check_within("START", params.start, &params)?;
    if let Some(restart) = options.restart {
        at.last = restart.unwrap_or(params.start);
        at.is_called = false;
    }
    check_within("RESTART", at.last, &params)?;
    if let Some(cache) = options.cache {
        params.cache = match u64::try_from(cache) {
            Ok(cache @ 1..) => cache,
            _ => return wrong(format!("CACHE ({cache}) must be greater than zero")),
        };
    }
    Ok(Made { params, at })
}

fn check_within(what: &str, value: i64, params: &SequenceParams) -> Result<()> {
    let SequenceParams { min, max, .. } = *params;
    if value < min {
        return wrong(format!(
            "{what} value ({value}) cannot be less than MINVALUE ({min})"
        ));
    }
    if value > max {
        return wrong(format!(
            "{what} value ({value}) cannot be greater than MAXVALUE ({max})"
        ));
    }
    Ok(())
}

fn wrong<T>(message: String) -> Result<T> {
    Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message))
}
