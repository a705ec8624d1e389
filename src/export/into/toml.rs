//! TOML: `toml_edit` tells where values stand, and only those bytes are replaced.

use toml_edit::{Document, Item, TableLike};

use super::{
    Edits, IntoError, Names, Obstacle, Wanted,
    edit::{append, indent_of, indented, line_end, line_of, marked, next_line, same, start_of_line},
    error::shortened,
    is_same_time, plain,
};
use crate::{
    export::{Language, Written},
    model::{Setting, Value},
};

/// The table that an export writes.
const TABLE: &str = "connection_pool";

/// What has to be replaced so that the file holds the settings.
pub(super) fn edits(text: &str, wanted: Wanted<'_>, names: Names<'_>) -> Result<Edits, IntoError> {
    let document = Document::parse(text)
        .map_err(|error| IntoError::syntax(text, error.span().map_or(0, |span| span.start.min(text.len()))))?;
    let root: &dyn TableLike = document.as_table();
    let name = names.within.unwrap_or(TABLE);
    let named = named(root, name, 0);
    if let (Some(part), None) = (names.within, named) {
        return Err(IntoError::NoSuchPart(part.to_owned()));
    }
    let is_root = named.is_none();
    let table = named.and_then(Item::as_table_like).unwrap_or(root);
    let has_header = named.is_some_and(|item| item.as_table().is_some_and(|table| !table.is_dotted()));

    let mut edits = Edits::default();
    for (setting, item) in Setting::all().filter_map(|setting| Some((setting, table.get(setting.name())?))) {
        let span = item.span().unwrap_or_default();
        let changed = changed(item, &text[span.clone()], wanted.get(setting));
        let outcome = changed.map(|now| now.map(|now| (span.clone(), now)));
        edits.settle(text, wanted, (setting, setting.name(), span.start), outcome);
    }
    let has = |setting: Setting| table.get(setting.name()).is_some();
    let mut lines = Vec::new();
    for setting in wanted.missing(has) {
        let now = literal(wanted.get(setting));
        edits.added(setting.name(), &now);
        lines.push(format!("{} = {now}", setting.name()));
    }
    let last =
        table.iter().filter(|(_, item)| item.is_value()).filter_map(|(_, item)| item.span()).map(|span| span.end);
    let last = last.max().or_else(|| named.and_then(Item::span).map(|span| span.end));
    let is_there = Setting::all().any(has);
    if lines.is_empty() || !edits.obstacles.is_empty() {
        // Nothing to add, or nothing is done at all.
    } else if let (true, Some(last)) = (has_header || is_root && is_there, last) {
        let at = next_line(text, last);
        let end = line_end(text);
        let indent = indent_of(text, start_of_line(text, last));
        // The lines join the block that begins or ends right there.
        let is_joined = text[at..].trim_start().starts_with(super::END);
        let first = if text[..at].ends_with('\n') { "" } else { end };
        let body = if is_joined { indented(&lines, indent, end) } else { marked(&lines, indent, end) };
        edits.insert(at, format!("{first}{body}"));
    } else if is_root {
        lines.insert(0, format!("[{TABLE}]"));
        append(&mut edits, text, &lines, None);
    } else {
        let span = named.and_then(Item::span).unwrap_or_default();
        edits.obstacles.push(Obstacle {
            line: line_of(text, span.start),
            name: name.to_owned(),
            text: format!("is no table with a header, so that nothing can be added below; make it [{name}]"),
        });
    }
    edits.unhindered()
}

/// The table of a name, wherever it is; `database.pool` is the table `pool` in the table `database`.
fn named<'a>(table: &'a dyn TableLike, name: &str, depth: u32) -> Option<&'a Item> {
    if let Some(item) = at(table, name).filter(|item| item.is_table_like()) {
        return Some(item);
    }
    if depth > 20 {
        return None;
    }
    table.iter().filter_map(|(_, item)| item.as_table_like()).find_map(|inner| named(inner, name, depth + 1))
}

/// What stands at a name, or at names with dots between them.
fn at<'a>(table: &'a dyn TableLike, name: &str) -> Option<&'a Item> {
    let below = || {
        let (first, rest) = name.split_once('.')?;
        at(table.get(first)?.as_table_like()?, rest)
    };
    table.get(name).or_else(below)
}

/// The new text of a value; `None` when it has that value.
fn changed(item: &Item, present: &str, value: &Value) -> Result<Option<String>, String> {
    let now = literal(value);
    let other = || Err(format!("is `{}`; write {now} there by hand", shortened(present)));
    let Some(wanted) = value.number() else {
        let wanted = plain(value);
        return match item.as_str() {
            Some(text) if text == wanted => Ok(None),
            // One kind of quotes cannot say everything.
            Some(_) if present.starts_with('\'') && !present.starts_with("'''") && is_plain(&wanted) => {
                Ok(Some(format!("'{wanted}'")))
            }
            Some(_) => Ok(Some(now)),
            None => other(),
        };
    };
    #[expect(clippy::cast_precision_loss, reason = "no setting is near 2^53")]
    let whole = item.as_integer().map(|whole| whole as f64);
    let quoted = item.as_str().map(|text| text.trim().parse::<f64>());
    match (whole.or(item.as_float()), quoted) {
        (Some(number), _) | (_, Some(Ok(number))) if same(number, wanted) => Ok(None),
        (_, Some(Err(_))) if item.as_str().is_some_and(|held| is_same_time(held, value)) => Ok(None),
        // A reader may insist on the type.
        (Some(_), _) if item.is_float() && wanted.fract() == 0.0 => Ok(Some(format!("{wanted:.1}"))),
        (Some(_), _) => Ok(Some(now)),
        (_, Some(Ok(_))) => {
            let quote = present.chars().next().unwrap_or('"');
            Ok(Some(format!("{quote}{wanted}{quote}")))
        }
        _ => other(),
    }
}

fn is_plain(text: &str) -> bool {
    !text.chars().any(|character| character == '\'' || crate::report::words::breaks(character))
}

fn literal(value: &Value) -> String {
    let written = value.number().map_or_else(|| Written::Text(plain(value)), Written::Number);
    Language::Toml.literal(&written).unwrap_or_default()
}
