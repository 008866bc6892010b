//! CEL filters: parsed and checked once, evaluated with bounds.
//!
//! The library parses and evaluates; what it may be given is decided here:
//! [`check`] refuses what could recurse deeply or grow without bound, and
//! works out what an evaluation costs; [`values`] converts only the members
//! that an expression mentions.

mod check;
mod cost;
mod json;
mod pattern;
mod values;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, LazyLock},
    thread::ScopedJoinHandle,
};

use cel::{
    Context, Env,
    common::ast::IdedExpr,
    parser::{ParseErrors, Parser},
};

use self::{
    cost::Shape,
    values::{Projection, Values},
};
use super::{BadFilter, Verdict};
use crate::event::Envelope;

/// The deepest nesting of brackets and calls that is parsed; what is evaluated
/// is bounded again, by [`check::MAX_DEPTH`].
const MAX_NESTING: u16 = 24;
/// At most so many operators, dots, commas and brackets: a chain of them
/// recurses as deep as it is long.
const MAX_MARKS: usize = 512;

/// The parser recurses deeply even within these bounds, so it gets a thread
/// with a stack of its own. Memory is taken only as far as it is used.
const READER_STACK: usize = 64 * 1024 * 1024;

/// The functions and types that expressions may use: the standard library.
static LIBRARY: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// A checked expression.
pub(super) struct Cel {
    expression: IdedExpr,
    /// The library, and the compiled patterns of `matches`.
    root: Context<'static, 'static>,
    projection: Projection,
    shape: Shape,
}

impl Cel {
    /// Parses and checks `text`.
    ///
    /// # Errors
    /// [`BadFilter`] with the first fault.
    pub(super) fn compile(text: &str) -> Result<Self, BadFilter> {
        if marks(text) > MAX_MARKS {
            return Err(BadFilter::new(1, format!("the expression has more than {MAX_MARKS} operators and brackets")));
        }
        std::thread::scope(|scope| {
            let reader = std::thread::Builder::new().stack_size(READER_STACK);
            let read = reader.spawn_scoped(scope, || Self::read(text)).map(ScopedJoinHandle::join);
            read.unwrap_or_else(|error| Ok(Err(BadFilter::new(1, format!("no thread to read it with: {error}")))))
                .unwrap_or_else(|_| Err(BadFilter::new(1, "the expression can't be read")))
        })
    }

    fn read(text: &str) -> Result<Self, BadFilter> {
        let parser = Parser::new().enable_optional_syntax(true).max_recursion_depth(MAX_NESTING);
        let parsed = parser.parse_with_source_info(text);
        let (mut expression, source) = parsed.map_err(|errors| syntax_error(text, &errors))?;
        let mut root = Context::with_env(Arc::clone(&LIBRARY));
        pattern::compile(&mut expression, &source, &mut root, &mut 0)?;
        let (projection, shape) = check::check(&expression, &source)?;
        Ok(Self { expression, root, projection, shape })
    }

    /// Evaluates the expression on one event.
    pub(super) fn matches(&self, envelope: &Envelope) -> Verdict {
        let Some(values) = self.projection.convert(envelope) else { return Verdict::Failed };
        if self.shape.cost(&values.sizes) > cost::BUDGET {
            return Verdict::Failed;
        }
        catch_unwind(AssertUnwindSafe(|| self.evaluate(values))).unwrap_or(Verdict::Failed)
    }

    fn evaluate(&self, values: Values) -> Verdict {
        let mut scope = self.root.new_inner_scope();
        for (name, value) in values.variables {
            scope.add_variable_from_value(name, value);
        }
        match cel::Value::resolve(&self.expression, &scope) {
            Ok(cel::Value::Bool(true)) => Verdict::Match,
            Ok(cel::Value::Bool(false)) => Verdict::NoMatch,
            Ok(_) | Err(_) => Verdict::Failed,
        }
    }
}

/// Counts what can make an expression deep. Marks inside texts count, too: so
/// the count needs no reading of texts, which could be led astray.
fn marks(text: &str) -> usize {
    let is_mark = |c: &char| c.is_ascii_punctuation() && !matches!(c, '_' | '"' | '\'' | '\\');
    let words = text.split(|c: char| !(c.is_alphanumeric() || c == '_'));
    text.chars().filter(is_mark).count() + words.filter(|word| *word == "in").count()
}

/// The first fault of the parser, with its column in the whole text.
fn syntax_error(text: &str, errors: &ParseErrors) -> BadFilter {
    let Some(first) = errors.errors.first() else { return BadFilter::new(1, "not an expression") };
    let [line, column] = [first.pos.0, first.pos.1].map(|n| usize::try_from(n).unwrap_or(0).max(1));
    let before: usize = text.split_inclusive('\n').take(line - 1).map(|line| line.chars().count()).sum();
    let reason = first.msg.strip_prefix("Syntax error: ").unwrap_or(&first.msg);
    let single = text
        .split("==")
        .flat_map(|part| part.split(['!', '<', '>']))
        .any(|part| part.trim_start_matches('=').contains('='));
    let hint = if single { "; a filter is all key=value,key=value, or all CEL, where equality is ==" } else { "" };
    BadFilter::new(before + column, format!("{}{hint}", in_words(reason)))
}

/// The parser's words without its lists of all that might stand there.
fn in_words(reason: &str) -> String {
    let found = reason.split(" expecting ").next().unwrap_or(reason);
    let leads = ["mismatched input", "extraneous input", "token recognition error at:"];
    if found.starts_with("Recursion limit") {
        return "the expression nests too deep; split it or use fewer parentheses".into();
    }
    match leads.iter().find_map(|lead| found.strip_prefix(lead)).map(str::trim_start) {
        Some("'<EOF>'") => "the expression ends too early".into(),
        Some(input) => format!("{input} can't stand here"),
        None => reason.chars().take(200).collect(),
    }
}
