//! `matches`: patterns are compiled once, with the filter.

use std::sync::Arc;

use cel::{
    Context, ExecutionError, Value,
    common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue, SourceInfo},
    extractors::This,
};
use regex::{Regex, RegexBuilder};

use super::{super::BadFilter, check::column};

/// The largest compiled pattern, in bytes.
const MAX_COMPILED: usize = 256 * 1024;

/// At most so many patterns in one filter.
const MAX_PATTERNS: usize = 8;

/// Replaces each `matches` under `expr` with a function of its own that has
/// the pattern compiled, which it adds to `context`. `patterns` counts them.
///
/// # Errors
/// When there are too many, or when a pattern is no literal, no regular expression, or too large.
pub(super) fn compile(
    expr: &mut IdedExpr,
    source: &SourceInfo,
    context: &mut Context<'static, 'static>,
    patterns: &mut usize,
) -> Result<(), BadFilter> {
    if let Expr::Call(call) = &mut expr.expr
        && call.func_name == "matches"
    {
        *patterns += 1;
        if *patterns > MAX_PATTERNS {
            let reason = format!("a filter may have at most {MAX_PATTERNS} patterns; put them into one with |");
            return Err(BadFilter::new(column(source, expr.id), reason));
        }
        let name = format!("@matches{}", expr.id);
        let regex = pattern(call).map_err(|reason| BadFilter::new(column(source, expr.id), reason))?;
        context
            .add_function(&name, move |This(text): This<Value>| is_match(&regex, &text))
            .map_err(|error| BadFilter::new(column(source, expr.id), error.to_string()))?;
        call.func_name = name;
    }
    for child in children(&mut expr.expr) {
        compile(child, source, context, patterns)?;
    }
    Ok(())
}

/// Takes the pattern out of `text.matches(pattern)` or
/// `matches(text, pattern)`, which leaves the former without arguments.
fn pattern(call: &mut CallExpr) -> Result<Regex, String> {
    let pattern = call.args.pop();
    if call.target.is_none() {
        call.target = call.args.pop().map(Box::new);
    }
    let Some(IdedExpr { expr: Expr::Literal(LiteralValue::String(pattern)), .. }) = pattern else {
        return Err("the pattern of matches must be a literal, like event.source.matches('^/team/')".into());
    };
    if call.target.is_none() || !call.args.is_empty() {
        return Err("matches takes a text and a pattern".into());
    }
    RegexBuilder::new(pattern.inner()).size_limit(MAX_COMPILED).dfa_size_limit(MAX_COMPILED).build().map_err(|error| {
        let text = error.to_string();
        format!("the pattern of matches: {}", text.lines().last().unwrap_or(&text))
    })
}

fn is_match(regex: &Regex, text: &Value) -> Result<bool, ExecutionError> {
    match text {
        Value::String(text) => Ok(regex.is_match(text)),
        _ => Err(ExecutionError::UndeclaredReference(Arc::new("matches".into()))),
    }
}

fn children(expr: &mut Expr) -> Vec<&mut IdedExpr> {
    match expr {
        Expr::Call(call) => call.target.as_deref_mut().into_iter().chain(&mut call.args).collect(),
        Expr::Comprehension(loops) => vec![
            &mut loops.iter_range,
            &mut loops.accu_init,
            &mut loops.loop_cond,
            &mut loops.loop_step,
            &mut loops.result,
        ],
        Expr::List(list) => list.elements.iter_mut().collect(),
        Expr::Map(map) => map
            .entries
            .iter_mut()
            .flat_map(|entry| match &mut entry.expr {
                EntryExpr::MapEntry(entry) => vec![&mut entry.key, &mut entry.value],
                EntryExpr::StructField(field) => vec![&mut field.value],
            })
            .collect(),
        Expr::Select(select) => vec![&mut select.operand],
        Expr::Struct(_) | Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => vec![],
    }
}
