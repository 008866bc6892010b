//! Tables that fit the terminal.

use comfy_table::{Attribute, Cell, ContentArrangement, Table, presets::NOTHING};
use serde_json::Value as Json;

/// A column: its title, what stands in it, and whether only `wide` has it.
#[derive(Clone, Copy)]
pub(crate) struct Column {
    pub(crate) title: &'static str,
    pub(crate) text: fn(&Json) -> String,
    pub(crate) wide: bool,
}

impl Column {
    pub(crate) const fn new(title: &'static str, text: fn(&Json) -> String) -> Self {
        Self { title, text, wide: false }
    }

    pub(crate) const fn wide(title: &'static str, text: fn(&Json) -> String) -> Self {
        Self { title, text, wide: true }
    }
}

/// What standard output can show.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) terminal: bool,
    pub(crate) colour: bool,
}

/// The narrowest terminal to which a table is fitted, in columns.
const NARROWEST: u16 = 40;

/// The rows under their titles, without trailing spaces.
pub(super) fn table(items: &[Json], columns: &[Column], wide: bool, look: Look) -> String {
    let columns: Vec<&Column> = columns.iter().filter(|column| wide || !column.wide).collect();
    let mut table = Table::new();
    table.load_preset(NOTHING).set_header(columns.iter().map(|column| title(column.title, look.colour)));
    // A terminal that doesn't know its width, or has next to none, scrolls.
    if look.terminal && table.width().is_some_and(|width| width >= NARROWEST) {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    match look.colour {
        true => table.enforce_styling(),
        false => table.force_no_tty(),
    };
    for item in items {
        table.add_row(columns.iter().map(|column| (column.text)(item)));
    }
    table.column_iter_mut().for_each(|column| {
        column.set_padding((0, 2));
    });
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

fn title(text: &str, colour: bool) -> Cell {
    let cell = Cell::new(text);
    if colour { cell.add_attribute(Attribute::Bold) } else { cell }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const COLUMNS: [Column; 3] = [
        Column::new("NAME", |item| item["name"].as_str().unwrap_or_default().into()),
        Column::new("N", |item| item["n"].to_string()),
        Column::wide("MORE", |_| "more".into()),
    ];

    #[test]
    fn columns_line_up_and_wide_ones_show_on_demand() {
        let items = [json!({"name": "a-longer-name", "n": 1}), json!({"name": "b", "n": 22})];
        let plain = Look { terminal: false, colour: false };
        assert_eq!(table(&items, &COLUMNS, false, plain), "NAME           N\na-longer-name  1\nb              22");
        assert!(
            table(&items, &COLUMNS, true, plain).lines().all(|line| line.ends_with("ore") || line.ends_with("MORE"))
        );
    }
}
