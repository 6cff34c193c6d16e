//! COPY … TO STDOUT.

use crate::base::{Error, Result};
use crate::sql::ast::{
    Copy, CopySource, Distinct, Expr, ExprKind, Ident, Name, Query, QueryBody, Select, SelectItem,
    TableRef,
};
use crate::sql::context::StatementContext;
use crate::sql::copy::options::Options;
use crate::sql::copy::values::{write_csv, write_text};
use crate::sql::copy::{column_list, named_columns, table_to_copy};
use crate::sql::expr::text_out;
use crate::sql::prepared::{bind_context, prepare_inner, start_inner};
use crate::sql::rows::Rows;
use crate::table::Txn;
use crate::types::Type;

/// A COPY that sends rows to the client.
pub struct CopyOut {
    rows: Rows,
    columns: Vec<(String, Type)>,
    options: Options,
    force_quote: Vec<bool>,
    header_pending: bool,
    cx: StatementContext,
    value: Vec<u8>,
    count: u64,
}

impl CopyOut {
    pub(super) async fn start(
        statement: &Copy,
        options: Options,
        txn: &mut Txn,
        cx: &StatementContext,
    ) -> Result<CopyOut> {
        let query = match &statement.source {
            CopySource::Query(query) => (**query).clone(),
            CopySource::Table { name, columns } => table_query(name, columns, txn, cx)?,
        };
        let (prepared, catalog) = prepare_inner(&query, txn, cx).await?;
        let rows = start_inner(&prepared, &catalog, txn, cx).await?;
        if let Some(field) = rows.fields().iter().find(|field| field.ty.is_reg()) {
            let ty = field.ty.sql_name();
            return Err(Error::unsupported(format_args!("COPY of a {ty} is")));
        }
        let columns: Vec<(String, Type)> = rows
            .fields()
            .iter()
            .map(|field| (field.name.clone(), field.ty))
            .collect();
        let names: Vec<String> = columns.iter().map(|(name, _)| name.clone()).collect();
        let force_quote = if statement.force_quote_all {
            vec![true; columns.len()]
        } else {
            named_columns("FORCE_QUOTE", &statement.force_quote, &names)?
        };
        Ok(CopyOut {
            rows,
            columns,
            header_pending: options.header,
            options,
            force_quote,
            cx: cx.clone(),
            value: Vec::new(),
            count: 0,
        })
    }

    /// The number of columns that a line has.
    pub fn columns(&self) -> usize {
        self.columns.len()
    }

    /// Whether [`Self::next`] may take long.
    pub fn is_heavy(&self) -> bool {
        self.rows.is_heavy()
    }

    /// Appends the next line; `false` after the last.
    pub fn next(&mut self, out: &mut Vec<u8>) -> Result<bool> {
        let alone = self.columns.len() == 1;
        if std::mem::take(&mut self.header_pending) {
            for (place, (name, _)) in self.columns.iter().enumerate() {
                if place > 0 {
                    out.push(self.options.delimiter);
                }
                if self.options.csv {
                    write_csv(name.as_bytes(), false, alone, &self.options, out);
                } else {
                    write_text(name.as_bytes(), &self.options, out);
                }
            }
            out.push(b'\n');
            return Ok(true);
        }
        let Some(row) = self.rows.next()? else {
            return Ok(false);
        };
        for (place, (value, (_, ty))) in row.iter().zip(&self.columns).enumerate() {
            if place > 0 {
                out.push(self.options.delimiter);
            }
            if value.is_null() {
                out.extend_from_slice(&self.options.null);
                continue;
            }
            self.value.clear();
            text_out(value, *ty, &self.cx.format, &mut self.value);
            if self.options.csv {
                write_csv(
                    &self.value,
                    self.force_quote[place],
                    alone,
                    &self.options,
                    out,
                );
            } else {
                write_text(&self.value, &self.options, out);
            }
        }
        out.push(b'\n');
        self.count += 1;
        Ok(true)
    }

    pub fn tag(&self) -> String {
        format!("COPY {}", self.count)
    }
}

/// `SELECT columns FROM table`.
fn table_query(name: &Name, columns: &[Ident], txn: &Txn, cx: &StatementContext) -> Result<Query> {
    let catalog = txn.catalog();
    let table = table_to_copy(name, "from", &bind_context(cx, &catalog))?;
    let item = |place: usize| {
        let column = Ident {
            name: table.columns[place].name.clone(),
            position: 0,
        };
        let expr = Expr {
            kind: ExprKind::Column(Name {
                parts: vec![column],
            }),
            position: 0,
        };
        SelectItem::Expr { expr, alias: None }
    };
    let items = column_list(table, columns)?.into_iter().map(item).collect();
    Ok(Query {
        with: Vec::new(),
        recursive: false,
        body: QueryBody::Select(Box::new(Select {
            distinct: Distinct::All,
            items,
            from: vec![TableRef::Table {
                name: name.clone(),
                alias: None,
            }],
            filter: None,
            group_by: Vec::new(),
            having: None,
        })),
        order_by: Vec::new(),
        limit: None,
        offset: None,
        locking: Vec::new(),
    })
}
