//! Planning of row locks: the rows that reach a lock carry the ids and bytes of the stored rows
//! they come from, in hidden columns.

use std::sync::Arc;

use crate::base::Result;
use crate::sql::ast::{LockStrength, LockWait};
use crate::sql::ir::{Expr, ExprKind, Rel};
use crate::sql::plan::node::{Lock, LockTarget, Node};
use crate::sql::plan::visit::{Ref, column_at, renumber, rewrite_rel, width};
use crate::sql::plan::{Planned, Planner, Want};
use crate::table::TableDef;
use crate::types::Type;

/// A relation with hidden columns.
struct Exposed {
    rel: Rel,
    /// Where the columns it had before are now.
    columns: Vec<usize>,
    /// Stored tables in the order their scans are planned, with the place of the row id.
    tables: Vec<(Arc<TableDef>, usize)>,
}

impl Planner<'_> {
    pub(super) fn lock(
        &mut self,
        input: Rel,
        strength: LockStrength,
        wait: LockWait,
    ) -> Result<Planned> {
        let limit = self.lock_limit.take();
        let exposed = expose(input);
        let input_width = width(&exposed.rel);
        let mut want = Want::all(input_width);
        want.limited = limit.is_some();
        let first_source = self.row_sources;
        let planned = self.rel(exposed.rel, Vec::new(), &want)?;
        // Joins may plan the tables in another order than they are written in.
        let mut sources = Vec::new();
        collect_sources(&planned.node, &mut sources);
        sources.retain(|source| source.number >= first_source);
        let targets = exposed.tables.into_iter().filter_map(|(table, row_id)| {
            let place = sources
                .iter()
                .position(|source| source.table == table.oid)?;
            let source = sources.remove(place).number;
            Some(LockTarget {
                table,
                row_id,
                source,
            })
        });
        let lock = Arc::new(Lock {
            number: self.locks.len(),
            input: planned.node,
            input_width,
            targets: targets.collect(),
            output: exposed.columns,
            strength,
            wait,
            limit,
        });
        self.locks.push(Arc::clone(&lock));
        Ok(Planned {
            node: Node::Lock(lock),
            rows: planned.rows,
            ordered: false,
        })
    }
}

struct Source {
    table: crate::base::Oid,
    number: usize,
}

/// The row sources of a plan in the order their tables stand in its rows.
fn collect_sources(node: &Node, out: &mut Vec<Source>) {
    let mut found = Vec::new();
    sources_at(node, 0, &mut found);
    found.sort_by_key(|(offset, _)| *offset);
    out.extend(found.into_iter().map(|(_, source)| source));
}

fn sources_at(node: &Node, offset: usize, out: &mut Vec<(usize, Source)>) {
    let mut add = |rows: &super::node::Rows, offset: usize| {
        if let Some(number) = rows.source {
            let table = rows.table.oid;
            out.push((offset, Source { table, number }));
        }
    };
    match node {
        Node::SeqScan(scan) => add(&scan.rows, offset),
        Node::IndexScan(scan) => add(&scan.rows, offset),
        Node::IndexJoin(join) => {
            add(&join.rows, offset + join.offset);
            sources_at(&join.left, offset, out);
        }
        Node::HashJoin(join) => {
            sources_at(&join.left, offset, out);
            sources_at(&join.right, offset + join.offset, out);
        }
        Node::NestedLoop(join) => {
            sources_at(&join.left, offset, out);
            sources_at(&join.right, offset + join.offset, out);
        }
        Node::Place(place) => sources_at(&place.input, offset + place.offset, out),
        Node::Filter(filter) => sources_at(&filter.input, offset, out),
        Node::Project(project) => sources_at(&project.input, offset, out),
        Node::Sort(sort) => sources_at(&sort.input, offset, out),
        Node::Limit(limit) => sources_at(&limit.input, offset, out),
        Node::Unit
        | Node::System(_)
        | Node::Values(_)
        | Node::Function(_)
        | Node::Aggregate(_)
        | Node::Distinct(_)
        | Node::SetOp(_)
        | Node::Lock(_) => {}
    }
}

fn expose(rel: Rel) -> Exposed {
    match rel {
        Rel::Table { table } => {
            let columns = table.columns.len();
            Exposed {
                rel: Rel::TableRows {
                    table: Arc::clone(&table),
                },
                columns: (0..columns).collect(),
                tables: vec![(table, columns)],
            }
        }
        Rel::Filter {
            input,
            mut condition,
        } => {
            let input = expose(*input);
            renumber(&mut condition, |column| input.columns[column]);
            input.map(|input| Rel::Filter { input, condition })
        }
        Rel::Sort { input, mut keys } => {
            let input = expose(*input);
            for key in &mut keys {
                renumber(&mut key.expr, |column| input.columns[column]);
            }
            input.map(|input| Rel::Sort { input, keys })
        }
        Rel::Limit {
            input,
            limit,
            offset,
        } => expose(*input).map(|input| Rel::Limit {
            input,
            limit,
            offset,
        }),
        Rel::Project { input, exprs } => expose_project(*input, exprs),
        Rel::Join {
            kind,
            left,
            mut right,
            mut condition,
            lateral,
        } => {
            let left = expose(*left);
            if lateral {
                rewrite_rel(&mut right, 1, &mut |reference, depth| match reference {
                    Ref::Own(column) => Some(column_at(left.columns[column], depth)),
                    Ref::Up { .. } => None,
                });
            }
            let right = expose(*right);
            let split = width(&left.rel);
            let mut columns = left.columns;
            columns.extend(right.columns.iter().map(|column| column + split));
            let mut tables = left.tables;
            tables.extend(
                right
                    .tables
                    .into_iter()
                    .map(|(table, id)| (table, id + split)),
            );
            if let Some(condition) = &mut condition {
                renumber(condition, |column| columns[column]);
            }
            Exposed {
                rel: Rel::Join {
                    kind,
                    left: Box::new(left.rel),
                    right: Box::new(right.rel),
                    condition,
                    lateral,
                },
                columns,
                tables,
            }
        }
        rel => Exposed {
            columns: (0..width(&rel)).collect(),
            rel,
            tables: Vec::new(),
        },
    }
}

fn expose_project(input: Rel, mut exprs: Vec<Expr>) -> Exposed {
    let input = expose(input);
    for expr in &mut exprs {
        renumber(expr, |column| input.columns[column]);
    }
    let columns = (0..exprs.len()).collect();
    let mut tables = Vec::new();
    for (table, id) in input.tables {
        tables.push((table, exprs.len()));
        for (column, ty) in [(id, Type::Int8), (id + 1, Type::Bytea)] {
            exprs.push(Expr {
                kind: ExprKind::Column(column),
                ty,
                typmod: -1,
            });
        }
    }
    Exposed {
        rel: Rel::Project {
            input: Box::new(input.rel),
            exprs,
        },
        columns,
        tables,
    }
}

impl Exposed {
    fn map(self, make: impl FnOnce(Box<Rel>) -> Rel) -> Exposed {
        Exposed {
            rel: make(Box::new(self.rel)),
            ..self
        }
    }
}
