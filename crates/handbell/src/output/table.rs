//! Tables that fit the terminal.

use comfy_table::{Attribute, Cell, Table, presets::NOTHING};
use serde_json::Value as Json;

use super::{fit::fit, human::cut, item::Item};

/// A column: its title, what stands in it, and whether only `wide` has it.
#[derive(Clone, Copy)]
pub(crate) struct Column {
    pub(crate) title: &'static str,
    pub(crate) text: fn(&Json) -> String,
    pub(crate) wide: bool,
    /// Cut last, where the terminal is too narrow.
    pub(crate) id: bool,
}

impl Column {
    pub(crate) const fn new(title: &'static str, text: fn(&Json) -> String) -> Self {
        Self { title, text, wide: false, id: false }
    }

    /// A column of IDs, which are copied: it is cut last.
    pub(crate) const fn id(title: &'static str, text: fn(&Json) -> String) -> Self {
        Self { title, text, wide: false, id: true }
    }

    pub(crate) const fn wide(title: &'static str, text: fn(&Json) -> String) -> Self {
        Self { title, text, wide: true, id: false }
    }
}

/// The columns of the terminal; `None` where there is none, or one that
/// doesn't know, or says 0.
pub(crate) fn terminal_width() -> Option<usize> {
    Table::new().width().map(usize::from).filter(|columns| *columns > 0)
}

/// What standard output can show.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) terminal: bool,
    pub(crate) colour: bool,
}

/// The narrowest terminal to which a table is fitted, in columns.
const NARROWEST: usize = 40;
/// Between columns.
const GAP: u16 = 2;

/// The rows under their titles, without trailing spaces. On a terminal a row
/// is one line, except in the wide form, which is never cut.
pub(super) fn table(items: &[Item], columns: &[Column], wide: bool, look: Look) -> String {
    let columns: Vec<&Column> = columns.iter().filter(|column| wide || !column.wide).collect();
    let mut rows: Vec<Vec<String>> =
        items.iter().map(|item| columns.iter().map(|column| (column.text)(item.value())).collect()).collect();
    // A terminal that doesn't know its width, or has next to none, scrolls.
    let room = if look.terminal && !wide { terminal_width() } else { None };
    if let Some(room) = room.filter(|room| *room >= NARROWEST) {
        narrow(&columns, &mut rows, room);
    }
    let mut table = Table::new();
    table.load_preset(NOTHING).set_header(columns.iter().map(|column| title(column.title, look.colour)));
    match look.colour {
        true => table.enforce_styling(),
        false => table.force_no_tty(),
    };
    table.add_rows(rows);
    table.column_iter_mut().for_each(|column| {
        column.set_padding((0, GAP));
    });
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// Cuts what doesn't fit into `room`.
fn narrow(columns: &[&Column], rows: &mut [Vec<String>], room: usize) {
    let width = |text: &str| text.chars().count();
    let widest = |at: usize| rows.iter().map(|row| width(&row[at])).max().unwrap_or(0).max(width(columns[at].title));
    let mut widths: Vec<usize> = (0..columns.len()).map(widest).collect();
    let ids: Vec<bool> = columns.iter().map(|column| column.id).collect();
    fit(&mut widths, &ids, usize::from(GAP), room);
    for row in rows {
        for (text, width) in row.iter_mut().zip(&widths) {
            *text = cut(text, *width);
        }
    }
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
    fn a_row_is_cut_to_the_room() {
        let columns: Vec<&Column> = COLUMNS.iter().collect();
        let mut rows = vec![vec!["a-very-long-name-indeed".to_owned(), "1".into(), "more".into()]];
        narrow(&columns, &mut rows, 25);
        assert_eq!(rows[0], ["a-very-long-nam…", "1", "more"]);
    }

    #[test]
    fn columns_line_up_and_wide_ones_show_on_demand() {
        let items =
            [json!({"name": "a-longer-name", "n": 1}), json!({"name": "b", "n": 22})].map(|item| Item::of(&item));
        let plain = Look { terminal: false, colour: false };
        assert_eq!(table(&items, &COLUMNS, false, plain), "NAME           N\na-longer-name  1\nb              22");
        assert!(
            table(&items, &COLUMNS, true, plain).lines().all(|line| line.ends_with("ore") || line.ends_with("MORE"))
        );
    }
}
