//! From a reply to bytes, appended to the connection's output buffer.

use pgwire::messages::copy::{
    MESSAGE_TYPE_BYTE_COPY_DATA, MESSAGE_TYPE_BYTE_COPY_DONE, MESSAGE_TYPE_BYTE_COPY_IN_RESPONSE,
    MESSAGE_TYPE_BYTE_COPY_OUT_RESPONSE,
};
use pgwire::messages::data::{
    MESSAGE_TYPE_BYTE_DATA_ROW, MESSAGE_TYPE_BYTE_NO_DATA, MESSAGE_TYPE_BYTE_PARAMETER_DESCRITION,
    MESSAGE_TYPE_BYTE_ROW_DESCRITION,
};
use pgwire::messages::extendedquery::{
    MESSAGE_TYPE_BYTE_BIND_COMPLETE, MESSAGE_TYPE_BYTE_CLOSE_COMPLETE,
    MESSAGE_TYPE_BYTE_PARSE_COMPLETE, MESSAGE_TYPE_BYTE_PORTAL_SUSPENDED,
};
use pgwire::messages::response::{
    MESSAGE_TYPE_BYTE_COMMAND_COMPLETE, MESSAGE_TYPE_BYTE_EMPTY_QUERY_RESPONSE,
    MESSAGE_TYPE_BYTE_ERROR_RESPONSE, MESSAGE_TYPE_BYTE_NOTICE_RESPONSE,
    MESSAGE_TYPE_BYTE_READY_FOR_QUERY, READY_STATUS_FAILED_TRANSACTION_BLOCK, READY_STATUS_IDLE,
    READY_STATUS_TRANSACTION_BLOCK,
};
use pgwire::messages::startup::{
    MESSAGE_TYPE_BYTE_AUTHENTICATION, MESSAGE_TYPE_BYTE_BACKEND_KEY_DATA,
    MESSAGE_TYPE_BYTE_NEGOTIATE_PROTOCOL_VERSION, MESSAGE_TYPE_BYTE_PARAMETER_STATUS, Startup,
};

use crate::base::error::Severity;
use crate::base::{Error, Report, Result, SqlState};
use crate::session::{Formats, Reply, Status};
use crate::sql::ir::Field;
use crate::types::{Datum, Format, Type, binary_out, text_out};

/// Appends a message whose body `fill` writes.
fn message(out: &mut Vec<u8>, kind: u8, fill: impl FnOnce(&mut Vec<u8>)) {
    out.push(kind);
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    fill(out);
    let length = out.len() - start;
    out[start..start + 4].copy_from_slice(&length32(length).to_be_bytes());
}

/// Lengths beyond 2 GiB are refused where values are written.
fn length32(length: usize) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}

/// Columns and parameters are fewer than 65536.
fn count16(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&u16::try_from(count).unwrap_or(u16::MAX).to_be_bytes());
}

fn string(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
    out.push(0);
}

fn empty(out: &mut Vec<u8>, kind: u8) {
    out.extend_from_slice(&[kind, 0, 0, 0, 4]);
}

pub(super) fn reply(out: &mut Vec<u8>, reply: &Reply<'_>) {
    match *reply {
        Reply::ParseComplete => empty(out, MESSAGE_TYPE_BYTE_PARSE_COMPLETE),
        Reply::BindComplete => empty(out, MESSAGE_TYPE_BYTE_BIND_COMPLETE),
        Reply::CloseComplete => empty(out, MESSAGE_TYPE_BYTE_CLOSE_COMPLETE),
        Reply::NoData => empty(out, MESSAGE_TYPE_BYTE_NO_DATA),
        Reply::PortalSuspended => empty(out, MESSAGE_TYPE_BYTE_PORTAL_SUSPENDED),
        Reply::EmptyQuery => empty(out, MESSAGE_TYPE_BYTE_EMPTY_QUERY_RESPONSE),
        Reply::ParameterDescription(types) => parameter_description(out, types),
        Reply::RowDescription { fields, formats } => row_description(out, fields, formats),
        Reply::CommandComplete(tag) => {
            message(out, MESSAGE_TYPE_BYTE_COMMAND_COMPLETE, |out| {
                string(out, tag)
            });
        }
        Reply::CopyIn { columns } => {
            copy_response(out, MESSAGE_TYPE_BYTE_COPY_IN_RESPONSE, columns)
        }
        Reply::CopyOut { columns } => {
            copy_response(out, MESSAGE_TYPE_BYTE_COPY_OUT_RESPONSE, columns);
        }
        Reply::CopyData(data) => message(out, MESSAGE_TYPE_BYTE_COPY_DATA, |out| {
            out.extend_from_slice(data);
        }),
        Reply::CopyDone => empty(out, MESSAGE_TYPE_BYTE_COPY_DONE),
        Reply::ParameterStatus { name, value } => {
            message(out, MESSAGE_TYPE_BYTE_PARAMETER_STATUS, |out| {
                string(out, name);
                string(out, value);
            });
        }
        Reply::Notice(notice) => report(out, MESSAGE_TYPE_BYTE_NOTICE_RESPONSE, notice, None),
        Reply::Error { report: r, text } => report(out, MESSAGE_TYPE_BYTE_ERROR_RESPONSE, r, text),
        Reply::Ready(status) => message(out, MESSAGE_TYPE_BYTE_READY_FOR_QUERY, |out| {
            out.push(match status {
                Status::Idle => READY_STATUS_IDLE,
                Status::InBlock => READY_STATUS_TRANSACTION_BLOCK,
                Status::Failed => READY_STATUS_FAILED_TRANSACTION_BLOCK,
            });
        }),
    }
}

/// One DataRow, from the values straight into the buffer.
pub(super) fn row(
    out: &mut Vec<u8>,
    values: &[Datum],
    fields: &[Field],
    formats: &Formats,
    format: &Format,
) -> Result<()> {
    debug_assert_eq!(values.len(), fields.len());
    let start = out.len();
    message(out, MESSAGE_TYPE_BYTE_DATA_ROW, |out| {
        count16(out, fields.len());
        for (i, (value, field)) in values.iter().zip(fields).enumerate() {
            if value.is_null() {
                out.extend_from_slice(&(-1i32).to_be_bytes());
                continue;
            }
            let at = out.len();
            out.extend_from_slice(&[0; 4]);
            match formats.is_binary(i) {
                true => binary_out(field.ty, value, out),
                false => text_out(field.ty, value, format, out),
            }
            let length = length32(out.len() - at - 4);
            out[at..at + 4].copy_from_slice(&length.to_be_bytes());
        }
    });
    if i32::try_from(out.len() - start).is_err() {
        out.truncate(start);
        return Err(Error::new(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            "the row is too long for a message",
        ));
    }
    Ok(())
}

fn row_description(out: &mut Vec<u8>, fields: &[Field], formats: &Formats) {
    message(out, MESSAGE_TYPE_BYTE_ROW_DESCRITION, |out| {
        count16(out, fields.len());
        for (i, field) in fields.iter().enumerate() {
            string(out, &field.name);
            out.extend_from_slice(&field.table.0.to_be_bytes());
            out.extend_from_slice(&field.attnum.to_be_bytes());
            out.extend_from_slice(&field.ty.oid().0.to_be_bytes());
            out.extend_from_slice(&field.ty.len().to_be_bytes());
            out.extend_from_slice(&field.typmod.to_be_bytes());
            out.extend_from_slice(&i16::from(formats.is_binary(i)).to_be_bytes());
        }
    });
}

fn parameter_description(out: &mut Vec<u8>, types: &[Type]) {
    message(out, MESSAGE_TYPE_BYTE_PARAMETER_DESCRITION, |out| {
        count16(out, types.len());
        for ty in types {
            out.extend_from_slice(&ty.oid().0.to_be_bytes());
        }
    });
}

fn copy_response(out: &mut Vec<u8>, kind: u8, columns: usize) {
    message(out, kind, |out| {
        out.push(0);
        count16(out, columns);
        for _ in 0..columns {
            out.extend_from_slice(&[0, 0]);
        }
    });
}

fn report(out: &mut Vec<u8>, kind: u8, report: &Report, text: Option<&str>) {
    let severity = match report.severity {
        Severity::Notice => "NOTICE",
        Severity::Warning => "WARNING",
        Severity::Error => "ERROR",
        Severity::Fatal => "FATAL",
    };
    let position = report
        .position
        .zip(text)
        .map(|(at, text)| character(text, at).to_string());
    let fields = [
        (b'S', Some(severity)),
        (b'V', Some(severity)),
        (b'C', Some(report.code.as_str())),
        (b'M', Some(report.message.as_str())),
        (b'D', report.detail.as_deref()),
        (b'H', report.hint.as_deref()),
        (b'P', position.as_deref()),
        (b'W', report.context.as_deref()),
        (b's', report.schema.as_deref()),
        (b't', report.table.as_deref()),
        (b'c', report.column.as_deref()),
        (b'd', report.data_type.as_deref()),
        (b'n', report.constraint.as_deref()),
    ];
    message(out, kind, |out| {
        for (field, value) in fields {
            if let Some(value) = value {
                out.push(field);
                // A NUL would end the field and shift all that follow.
                out.extend(value.bytes().filter(|b| *b != 0));
                out.push(0);
            }
        }
        out.push(0);
    });
}

/// The place of the character at a byte offset, from 1.
fn character(text: &str, at: usize) -> usize {
    text.char_indices().take_while(|(i, _)| *i < at).count() + 1
}

/// Messages of the startup, which no session sends.
pub(super) fn authentication_ok(out: &mut Vec<u8>) {
    message(out, MESSAGE_TYPE_BYTE_AUTHENTICATION, |out| {
        out.extend_from_slice(&0i32.to_be_bytes());
    });
}

pub(super) fn backend_key(out: &mut Vec<u8>, pid: i32, secret: i32) {
    message(out, MESSAGE_TYPE_BYTE_BACKEND_KEY_DATA, |out| {
        out.extend_from_slice(&pid.to_be_bytes());
        out.extend_from_slice(&secret.to_be_bytes());
    });
}

/// Tells a client that wants more than protocol 3.0 which of its options are not known.
pub(super) fn negotiate_version(out: &mut Vec<u8>, unknown_options: &[&str]) {
    message(out, MESSAGE_TYPE_BYTE_NEGOTIATE_PROTOCOL_VERSION, |out| {
        out.extend_from_slice(&Startup::PROTOCOL_VERSION_3_0.to_be_bytes());
        out.extend_from_slice(&length32(unknown_options.len()).to_be_bytes());
        for option in unknown_options {
            string(out, option);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Oid;

    fn field(ty: Type) -> Field {
        Field {
            name: "f".to_owned(),
            ty,
            typmod: -1,
            table: Oid(0),
            attnum: 0,
        }
    }

    #[test]
    fn a_row_holds_lengths_nulls_and_each_columns_format() {
        let fields = [field(Type::Int4), field(Type::Text), field(Type::Int4)];
        let values = [Datum::Int4(7), Datum::Null, Datum::Int4(-12)];
        let formats = Formats([1, 0, 0].as_slice().into());
        let mut out = b"before".to_vec();
        row(&mut out, &values, &fields, &formats, &Format::default()).unwrap();
        let expected = b"beforeD\0\0\0\x19\0\x03\0\0\0\x04\0\0\0\x07\xff\xff\xff\xff\0\0\0\x03-12";
        assert_eq!(out, expected);
    }

    #[test]
    fn positions_count_characters_from_one() {
        assert_eq!(character("select x", 7), 8);
        assert_eq!(character("sélect x", 8), 8);
        assert_eq!(character("ab", 2), 3);
        assert_eq!(character("ab", 99), 3);
        assert_eq!(character("é", 1), 2);
    }

    #[test]
    fn an_error_carries_its_fields_in_postgresqls_order() {
        let error = Error::new(SqlState::SYNTAX_ERROR, "bad\0")
            .with_hint("h")
            .at(2);
        let mut out = Vec::new();
        let r = error.report();
        reply(
            &mut out,
            &Reply::Error {
                report: &r,
                text: Some("éx"),
            },
        );
        let expected = b"SERROR\0VERROR\0C42601\0Mbad\0Hh\0P2\0\0";
        assert_eq!(&out[5..], expected);
        assert_eq!(
            out[..5],
            [b'E', 0, 0, 0, 4 + u8::try_from(expected.len()).unwrap()]
        );
    }

    #[test]
    fn a_version_answer_lists_the_options_not_known() {
        let mut out = Vec::new();
        negotiate_version(&mut out, &["_pq_.x"]);
        assert_eq!(out, b"v\0\0\0\x13\0\x03\0\0\0\0\0\x01_pq_.x\0");
    }
}
