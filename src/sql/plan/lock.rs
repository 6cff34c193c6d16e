//! Planning of row locks: the rows that reach a lock carry the ids and bytes of the stored rows
//! they come from, in hidden columns.

use std::sync::Arc;

use crate::base::{Error, Result};
use crate::sql::ast::JoinKind;
use crate::sql::ir::{Expr, ExprKind, Rel, RowLocking};
use crate::sql::plan::node::{Lock, LockMember, LockMemberKind, Member, Node};
use crate::sql::plan::rel::types;
use crate::sql::plan::visit::{Ref, column_at, refs_rel, renumber, rewrite_rel, width};
use crate::sql::plan::{Planned, Planner, Want};
use crate::table::TableDef;

/// A relation with hidden columns.
struct Exposed {
    rel: Rel,
    /// Where the columns it had before are now.
    columns: Vec<usize>,
    members: Vec<LockMember>,
}

impl Planner<'_> {
    pub(super) fn lock(&mut self, input: Rel) -> Result<Planned> {
        let limit = self.lock_limit.take();
        // Rows are locked before anything else runs (see `exec::lock`).
        let mut correlated = false;
        refs_rel(&input, 1, &mut |_| correlated = true);
        if correlated {
            return Err(Error::unsupported(
                "locking rows that depend on a row of another query is",
            ));
        }
        let exposed = self.expose(input);
        let input_width = width(&exposed.rel);
        let mut want = Want::all(input_width);
        want.limited = limit.is_some();
        let planned = self.rel(exposed.rel, Vec::new(), &want)?;
        let lock = Arc::new(Lock {
            number: self.locks.len(),
            input: planned.node,
            input_width,
            members: exposed.members,
            output: exposed.columns,
            limit,
        });
        self.locks.push(Arc::clone(&lock));
        Ok(Planned {
            node: Node::Lock(lock),
            rows: planned.rows,
            ordered: false,
        })
    }

    pub(super) fn member(
        &mut self,
        input: Rel,
        source: usize,
        filters: Vec<Expr>,
        want: &Want,
    ) -> Result<Planned> {
        let input_width = width(&input);
        let mut want = want.clone();
        want.needed.truncate(input_width);
        let planned = self.rel(input, filters, &want)?;
        Ok(Planned {
            node: Node::Member(Arc::new(Member {
                input: planned.node,
                input_width,
                source,
            })),
            ..planned
        })
    }

    pub(super) fn next_source(&mut self) -> usize {
        self.row_sources += 1;
        self.row_sources - 1
    }

    fn expose(&mut self, rel: Rel) -> Exposed {
        match rel {
            Rel::Table { table, lock } => self.expose_table(table, lock),
            Rel::Filter {
                input,
                mut condition,
            } => {
                let input = self.expose(*input);
                renumber(&mut condition, |column| input.columns[column]);
                input.map(|input| Rel::Filter { input, condition })
            }
            Rel::Sort { input, mut keys } => {
                let input = self.expose(*input);
                for key in &mut keys {
                    renumber(&mut key.expr, |column| input.columns[column]);
                }
                input.map(|input| Rel::Sort { input, keys })
            }
            Rel::Project { input, exprs } => expose_project(self.expose(*input), exprs),
            Rel::Join {
                kind,
                left,
                mut right,
                condition,
                lateral,
            } => {
                let left = self.expose(*left);
                if lateral {
                    rewrite_rel(&mut right, 1, &mut |reference, depth| match reference {
                        Ref::Own(column) => Some(column_at(left.columns[column], depth)),
                        Ref::Up { .. } => None,
                    });
                }
                expose_join(kind, left, self.expose(*right), condition, lateral)
            }
            Rel::Unit => Exposed {
                rel: Rel::Unit,
                columns: Vec::new(),
                members: Vec::new(),
            },
            rel => {
                let (width, source) = (width(&rel), self.next_source());
                let input = Box::new(rel);
                Exposed {
                    rel: Rel::Member { input, source },
                    columns: (0..width).collect(),
                    members: vec![LockMember {
                        kind: LockMemberKind::Other { width },
                        column: 0,
                        source,
                    }],
                }
            }
        }
    }

    fn expose_table(&mut self, table: Arc<TableDef>, lock: Option<RowLocking>) -> Exposed {
        let (columns, source) = (table.columns.len(), self.next_source());
        Exposed {
            rel: Rel::TableRows {
                table: Arc::clone(&table),
                source,
            },
            columns: (0..columns).collect(),
            members: vec![LockMember {
                kind: LockMemberKind::Table { table, lock },
                column: columns,
                source,
            }],
        }
    }
}

fn expose_join(
    kind: JoinKind,
    left: Exposed,
    right: Exposed,
    mut condition: Option<Expr>,
    lateral: bool,
) -> Exposed {
    let split = width(&left.rel);
    let mut columns = left.columns;
    columns.extend(right.columns.iter().map(|column| column + split));
    let mut members = left.members;
    members.extend(right.members.into_iter().map(|member| LockMember {
        column: member.column + split,
        ..member
    }));
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
        members,
    }
}

fn expose_project(input: Exposed, mut exprs: Vec<Expr>) -> Exposed {
    for expr in &mut exprs {
        renumber(expr, |column| input.columns[column]);
    }
    let columns = (0..exprs.len()).collect();
    let types = types(&input.rel);
    let mut members = input.members;
    for member in &mut members {
        let hidden = match member.kind {
            LockMemberKind::Table { .. } => 2,
            LockMemberKind::Other { width } => width + 1,
        };
        let from = member.column..member.column + hidden;
        member.column = exprs.len();
        exprs.extend(from.map(|column| Expr {
            kind: ExprKind::Column(column),
            ty: types[column],
            typmod: -1,
        }));
    }
    Exposed {
        rel: Rel::Project {
            input: Box::new(input.rel),
            exprs,
        },
        columns,
        members,
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
