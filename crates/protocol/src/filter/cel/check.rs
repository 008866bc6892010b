//! What an expression may contain, and what its evaluation will cost.
//!
//! Three rules keep the work in proportion to the data. A loop runs over a
//! path (`payload.items`) or a literal list, never over what another loop has
//! made. A loop inside a loop over data runs over a part of its variable
//! (`item.tags`), so that both together see each value once. And everything
//! that stands inside a loop is counted as often as the loop may run.

use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, SourceInfo, operators};

use super::{
    super::BadFilter,
    cost::{Mention, Shape},
    values::{EVENT, PAYLOAD, Part, Projection, ROUTING},
};

/// The deepest expression: evaluating it recurses as deep, on the stack of
/// whoever asks.
pub(super) const MAX_DEPTH: usize = 16;
/// The functions that can be called, besides operators and macros.
const FUNCTIONS: [&str; 29] = [
    "bool",
    "bytes",
    "contains",
    "double",
    "duration",
    "dyn",
    "endsWith",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getFullYear",
    "getHours",
    "getMilliseconds",
    "getMinutes",
    "getMonth",
    "getSeconds",
    "hasValue",
    "int",
    "none",
    "of",
    "or",
    "orValue",
    "size",
    "startsWith",
    "string",
    "timestamp",
    "type",
    "uint",
];
/// What may be named besides the variables.
const TYPES: [&str; 12] =
    ["bool", "bytes", "double", "dyn", "int", "list", "map", "null_type", "optional", "string", "type", "uint"];

/// The column at which the node `id` begins.
pub(super) fn column(source: &SourceInfo, id: u64) -> usize {
    source.offset_for(id).map_or(1, |(start, _)| start as usize + 1)
}

/// Checks all of an expression.
///
/// # Errors
/// [`BadFilter`] at the first part that may not be there.
pub(super) fn check(expr: &IdedExpr, source: &SourceInfo) -> Result<(Projection, Shape), BadFilter> {
    let mut check = Check {
        source,
        depth: 0,
        loops: vec![],
        mentions: vec![],
        members: vec![],
        whole: false,
        shape: Shape::default(),
    };
    check.visit(expr, Repeat { times: 1, per_value: false })?;
    Ok(check.finish())
}

/// How often the place that is being visited is evaluated.
#[derive(Clone, Copy)]
struct Repeat {
    times: u64,
    per_value: bool,
}

/// Which data are mentioned.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Data {
    Event,
    Routing,
    Payload,
    Member(usize),
}

struct Check<'a> {
    source: &'a SourceInfo,
    /// How deep the place is that is being visited.
    depth: usize,
    /// The variables of the loops around: the element's and the result's.
    loops: Vec<[&'a str; 2]>,
    mentions: Vec<(Data, Repeat)>,
    members: Vec<Box<str>>,
    whole: bool,
    shape: Shape,
}

impl<'a> Check<'a> {
    fn visit(&mut self, expr: &'a IdedExpr, repeat: Repeat) -> Result<(), BadFilter> {
        if self.depth == MAX_DEPTH {
            return Err(
                self.bad(expr.id, format!("the expression nests deeper than {MAX_DEPTH} levels; split or shorten it"))
            );
        }
        self.depth += 1;
        let visited = self.parts(expr, repeat);
        self.depth -= 1;
        visited
    }

    fn parts(&mut self, expr: &'a IdedExpr, repeat: Repeat) -> Result<(), BadFilter> {
        let steps = if repeat.per_value { &mut self.shape.steps_per_value } else { &mut self.shape.steps };
        *steps = steps.saturating_add(repeat.times);
        if let Some(name) = self.payload_member(&expr.expr) {
            let index = self.member(name);
            self.mentions.push((Data::Member(index), repeat));
            return Ok(());
        }
        match &expr.expr {
            Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => self.ident(expr.id, name, repeat),
            Expr::Select(select) => self.visit(&select.operand, repeat),
            Expr::Call(call) => self.call(expr.id, call, repeat),
            Expr::List(list) => {
                self.shape.literals = self.shape.literals.saturating_add(list.elements.len() as u64);
                list.elements.iter().try_for_each(|element| self.visit(element, repeat))
            }
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => {
                    self.visit(&entry.key, repeat)?;
                    self.visit(&entry.value, repeat)
                }
                EntryExpr::StructField(_) => Err(self.bad(entry.id, "messages can't be built in a filter")),
            }),
            Expr::Comprehension(one) => self.comprehension(expr.id, one, repeat),
            Expr::Struct(_) => Err(self.bad(expr.id, "messages can't be built in a filter")),
            Expr::Unspecified => Err(self.bad(expr.id, "the expression is incomplete")),
        }
    }

    fn ident(&mut self, id: u64, name: &str, repeat: Repeat) -> Result<(), BadFilter> {
        if self.is_loop_variable(name) || TYPES.contains(&name) {
            return Ok(());
        }
        let data = match name {
            "event" => Data::Event,
            "routing" => Data::Routing,
            "payload" => {
                self.whole = true;
                Data::Payload
            }
            "google" => return Ok(()),
            _ => {
                let name = name.trim_start_matches('.');
                return Err(self.bad(
                    id,
                    format!("{name} is unknown; there are event, payload and routing: write payload.{name} for a member of the payload"),
                ));
            }
        };
        self.mentions.push((data, repeat));
        Ok(())
    }

    fn call(&mut self, id: u64, call: &'a CallExpr, repeat: Repeat) -> Result<(), BadFilter> {
        let name = call.func_name.as_str();
        let is_operator = name.contains(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let is_known = is_operator || FUNCTIONS.contains(&name) || (name == "value" && call.target.is_some());
        if !is_known {
            return Err(self.bad(id, format!("the function {name} is unknown, or is called with the wrong arguments")));
        }
        if name == operators::ADD {
            self.shape.sums += 1;
        }
        call.target.as_deref().into_iter().chain(&call.args).try_for_each(|part| self.visit(part, repeat))
    }

    fn comprehension(&mut self, id: u64, one: &'a ComprehensionExpr, repeat: Repeat) -> Result<(), BadFilter> {
        let inner = match &one.iter_range.expr {
            Expr::List(list) => {
                if !self.loops.is_empty() && !list.elements.iter().all(is_plain) {
                    return Err(self.bad(id, "a list inside a loop may hold only literals and fields, like item.name"));
                }
                Repeat { times: repeat.times.saturating_mul(list.elements.len().max(1) as u64), ..repeat }
            }
            range => {
                let Some(root) = path_root(range) else {
                    return Err(self.bad(id, "a loop runs over a field, like payload.items, or over a list; put the conditions of several loops into one"));
                };
                let outer = self.loops.last().map(|[element, _]| *element);
                if repeat.per_value && outer != Some(root) {
                    return Err(
                        self.bad(id, "a loop inside a loop may only run over a part of its variable, like item.tags")
                    );
                }
                Repeat { per_value: true, ..repeat }
            }
        };
        self.visit(&one.iter_range, repeat)?;
        self.visit(&one.accu_init, repeat)?;
        self.loops.push([&one.iter_var, &one.accu_var]);
        let visited =
            [&one.loop_cond, &one.loop_step, &one.result].into_iter().try_for_each(|part| self.visit(part, inner));
        self.loops.pop();
        visited
    }

    fn is_loop_variable(&self, name: &str) -> bool {
        self.loops.iter().flatten().any(|variable| *variable == name)
    }

    /// The member that `payload.name`, `payload['name']` and their optional
    /// forms mention.
    fn payload_member<'e>(&self, expr: &'e Expr) -> Option<&'e str> {
        let is_payload = |expr: &Expr| matches!(expr, Expr::Ident(name) if name == "payload");
        if self.is_loop_variable("payload") {
            return None;
        }
        match expr {
            Expr::Select(select) if is_payload(&select.operand.expr) => Some(&select.field),
            Expr::Call(call)
                if [operators::INDEX, operators::OPT_INDEX, operators::OPT_SELECT].contains(&&*call.func_name) =>
            {
                match call.args.as_slice() {
                    [IdedExpr { expr, .. }, IdedExpr { expr: Expr::Literal(LiteralValue::String(name)), .. }]
                        if is_payload(expr) =>
                    {
                        Some(name.inner())
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn member(&mut self, name: &str) -> usize {
        self.members.iter().position(|have| **have == *name).unwrap_or_else(|| {
            self.members.push(name.into());
            self.members.len() - 1
        })
    }

    fn finish(self) -> (Projection, Shape) {
        let mentions = self.mentions.iter().map(|(data, repeat)| Mention {
            data: match data {
                Data::Event => EVENT,
                Data::Routing => ROUTING,
                Data::Member(index) if !self.whole => PAYLOAD + index,
                Data::Member(_) | Data::Payload => PAYLOAD,
            },
            times: repeat.times,
            per_value: repeat.per_value,
        });
        let shape = Shape { mentions: mentions.collect(), ..self.shape };
        let mentions = |data| self.mentions.iter().any(|(mentioned, _)| *mentioned == data);
        let projection = Projection {
            event: mentions(Data::Event),
            routing: mentions(Data::Routing),
            payload: match (self.whole, self.members.is_empty()) {
                (true, _) => Part::Whole,
                (false, true) => Part::None,
                (false, false) => Part::Members(self.members),
            },
        };
        (projection, shape)
    }

    fn bad(&self, id: u64, reason: impl Into<String>) -> BadFilter {
        BadFilter::new(column(self.source, id), reason)
    }
}

/// The variable at which a path begins: fields and literal indices of it, and
/// what stands in for an optional one that is absent.
fn path_root(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Ident(name) => Some(name),
        Expr::Select(select) if !select.test => path_root(&select.operand.expr),
        Expr::Call(call) => match (&*call.func_name, call.target.as_deref(), call.args.as_slice()) {
            (operators::INDEX | operators::OPT_INDEX | operators::OPT_SELECT, None, [base, index]) => {
                matches!(index.expr, Expr::Literal(_)).then(|| path_root(&base.expr))?
            }
            ("orValue", Some(base), [IdedExpr { expr: Expr::List(list), .. }]) if list.elements.is_empty() => {
                path_root(&base.expr)
            }
            ("value", Some(base), []) => path_root(&base.expr),
            _ => None,
        },
        _ => None,
    }
}

fn is_plain(expr: &IdedExpr) -> bool {
    matches!(expr.expr, Expr::Literal(_)) || path_root(&expr.expr).is_some()
}
