//! YAML: tree-sitter tells where values stand, and only those bytes are replaced.

use tree_sitter::Node;

use super::{
    Edits, IntoError, Names, Obstacle, Wanted,
    edit::{Outcome, append, indented, line_end, line_of, marked, next_line, same, start_of_line},
    error::shortened,
    is_same_time, plain,
    python::Sure,
    syntax,
};
use crate::{
    export::{
        Language, Written,
        yaml::{self, Entry},
    },
    model::{Setting, Unit, Value},
    report::words::breaks,
};

/// The mappings that are the pool's by their names; the first is made where there is none.
const MAPPINGS: [&str; 2] = ["connection_pool", "connection_pool_config"];

/// A name with its value.
struct Definition<'e, 't> {
    setting: Setting,
    sure: Sure,
    entry: &'e Entry<'t>,
}

/// What has to be replaced so that the file holds the settings.
pub(super) fn edits(text: &str, wanted: Wanted<'_>, names: Names<'_>) -> Result<Edits, IntoError> {
    let tree = yaml::tree(text).ok_or(IntoError::NotReadBack)?;
    let root = tree.root_node();
    if let Some(at) = syntax::lone_return(text) {
        return Err(IntoError::syntax(text, at));
    }
    let read = yaml::documents(text).map_err(|(line, _)| IntoError::syntax(text, start_of(text, line)));
    if let Some(at) = syntax::broken(root) {
        // The other parser knows the line better.
        return Err(read.err().unwrap_or_else(|| IntoError::syntax(text, at)));
    }
    let entries = yaml::entries(root, text);
    let found = found(&entries, names)?;
    check_twice(text, &found, wanted)?;
    read?;
    if let (true, Some(entry)) = (found.is_empty(), spring_boot(&entries)) {
        return Err(IntoError::OtherPool {
            line: line_of(text, entry.pair.start_byte()),
            pool: "Spring Boot",
            format: "spring-boot",
        });
    }

    let mut edits = Edits::default();
    for Definition { setting, entry, .. } in &found {
        let place = (*setting, entry.name.as_str(), entry.pair.start_byte());
        edits.settle(text, wanted, place, changed(entry, text, wanted.get(*setting)));
    }
    let missing = wanted.missing(|setting| found.iter().any(|definition| definition.setting == setting));
    if !missing.is_empty() {
        let home = home(&found).or_else(|| part(&entries, names));
        let is_constants = found.iter().any(|definition| definition.sure == Sure::Constant);
        let added = Added::new(text, &found, is_constants);
        let lines: Vec<(String, String)> =
            missing.iter().map(|setting| added.line(*setting, wanted.get(*setting), names)).collect();
        let placed = match home {
            Some(mapping) if mapping.kind() == "flow_mapping" => add_to_flow(&mut edits, text, mapping, &lines),
            Some(mapping) => add_to_block(&mut edits, text, mapping, &lines),
            None => add_mapping(&mut edits, text, root, &lines, names),
        };
        for (name, now) in &lines {
            edits.added(name, now);
        }
        if let Err((at, problem)) = placed {
            edits.obstacles.push(Obstacle { line: line_of(text, at), name: MAPPINGS[0].to_owned(), text: problem });
        }
    }
    edits.unhindered()
}

/// Whether two texts hold the same but for the settings, so that no change has touched its neighbours.
pub(super) fn keeps_the_rest(before: &str, after: &str, names: Names<'_>) -> bool {
    let rest = |text: &str| {
        let mut documents = yaml::documents(text).ok()?;
        for document in &mut documents {
            without_settings(document, names);
        }
        documents.retain(|document| !matches!(document, serde_json::Value::Null));
        Some(documents)
    };
    let (before, after) = (rest(before), rest(after));
    before.is_some() && before == after
}

fn without_settings(node: &mut serde_json::Value, names: Names<'_>) {
    match node {
        serde_json::Value::Object(map) => {
            map.retain(|name, _| name.parse::<Setting>().is_err() && names.of_constant(name).is_none());
            for value in map.values_mut() {
                without_settings(value, names);
            }
            map.retain(|name, value| name != MAPPINGS[0] || !value.is_null());
            if map.is_empty() {
                *node = serde_json::Value::Null;
            }
        }
        serde_json::Value::Array(list) => {
            for value in list {
                without_settings(value, names);
            }
        }
        _ => {}
    }
}

fn start_of(text: &str, line: usize) -> usize {
    text.split_inclusive('\n').take(line - 1).map(str::len).sum::<usize>().min(text.len())
}

/// The names that are the pool's: those with the prefix, and the guide's in a mapping that may be the pool's.
fn found<'e, 't>(entries: &'e [Entry<'t>], names: Names<'_>) -> Result<Vec<Definition<'e, 't>>, IntoError> {
    if let Some(wanted) = names.within
        && part(entries, names).is_none()
    {
        return Err(IntoError::NoSuchPart(wanted.to_owned()));
    }
    let setting_of = |entry: &Entry<'_>| entry.name.parse::<Setting>().ok();
    let mut found: Vec<_> = entries
        .iter()
        .filter(|entry| names.within.is_none_or(|wanted| is_within(&entry.path, wanted)))
        .filter_map(|entry| {
            if let Some(setting) = names.of_constant(&entry.name) {
                return Some(Definition { setting, sure: Sure::Constant, entry });
            }
            let setting = setting_of(entry)?;
            let is_guide = entry.path.last().is_some_and(|name| MAPPINGS.contains(&name.as_str()));
            // A single `max_connections` below another name may be anybody's.
            let is_likely = || {
                entry.path.is_empty()
                    || entry.path.iter().any(|name| name.to_ascii_lowercase().contains("pool"))
                    || entries.iter().any(|other| {
                        other.mapping == entry.mapping && setting_of(other).is_some_and(|it| it != setting)
                    })
            };
            let sure = if is_guide || names.within.is_some() {
                Sure::Guide
            } else if is_likely() {
                Sure::Likely
            } else {
                return None;
            };
            Some(Definition { setting, sure, entry })
        })
        .collect();
    let surest = found.iter().map(|definition| definition.sure).max().unwrap_or(Sure::Constant);
    found.retain(|definition| definition.sure >= surest.min(Sure::Guide));
    Ok(found)
}

/// Whether a path goes through the mapping of a name; `database.pool` is the mapping `pool` in the mapping `database`.
fn is_within(path: &[String], wanted: &str) -> bool {
    (1..=path.len()).any(|end| ends_with(&path[..end], wanted))
}

fn ends_with(path: &[String], wanted: &str) -> bool {
    let is_last = |name: &String| name == wanted;
    let parts: Vec<&str> = wanted.split('.').collect();
    path.last().is_some_and(is_last)
        || path.len() >= parts.len()
            && path[path.len() - parts.len()..].iter().zip(parts).all(|(name, part)| name == part)
}

/// What makes a file Spring Boot's: its pool reads names of its own, and would read none of ours.
fn spring_boot<'e, 't>(entries: &'e [Entry<'t>]) -> Option<&'e Entry<'t>> {
    let path = |entry: &Entry<'_>| [entry.path.join(".").as_str(), entry.name.as_str()].join(".");
    entries.iter().find(|entry| path(entry).trim_start_matches('.').starts_with("spring.datasource"))
}

/// The mapping that was asked for by name, or is the pool's by its name.
fn part<'t>(entries: &[Entry<'t>], names: Names<'_>) -> Option<Node<'t>> {
    let is_it = |entry: &&Entry<'_>| match names.within {
        Some(wanted) => ends_with(&[entry.path.as_slice(), std::slice::from_ref(&entry.name)].concat(), wanted),
        None => MAPPINGS.contains(&entry.name.as_str()),
    };
    let mapping =
        |entry: &Entry<'t>| entry.value.and_then(yaml::content).filter(|node| node.kind().ends_with("mapping"));
    entries.iter().filter(is_it).find_map(mapping)
}

fn check_twice(text: &str, found: &[Definition<'_, '_>], wanted: Wanted<'_>) -> Result<(), IntoError> {
    // What is not written may be there as often as it likes.
    let written = |definition: &&Definition<'_, '_>| wanted.writes(definition.setting);
    for (index, one) in found.iter().enumerate().filter(|(_, one)| written(one)) {
        if let Some(other) = found[index + 1..].iter().find(|other| other.entry.name == one.entry.name) {
            let line = |definition: &Definition<'_, '_>| line_of(text, definition.entry.pair.start_byte());
            return Err(IntoError::Twice { name: one.entry.name.clone(), first: line(one), second: line(other) });
        }
    }
    Ok(())
}

/// The mapping that holds most of the settings, the first of those that hold as many.
fn home<'t>(found: &[Definition<'_, 't>]) -> Option<Node<'t>> {
    let count = |mapping: Node<'_>| found.iter().filter(|other| other.entry.mapping == mapping).count();
    found.iter().rev().map(|definition| definition.entry.mapping).max_by_key(|mapping| count(*mapping))
}

/// The place to change and its new text; `None` where the value is there already.
fn changed(entry: &Entry<'_>, text: &str, wanted: &Value) -> Outcome {
    let written = number_or_text(wanted);
    let by_hand = |what: &str| Err(format!("{what}; write {written} there by hand"));
    let Some(node) = entry.value else {
        let mut cursor = entry.pair.walk();
        let colon = entry.pair.children(&mut cursor).find(|child| child.kind() == ":");
        return match colon {
            Some(colon) => Ok(Some((colon.end_byte()..colon.end_byte(), format!(" {written}")))),
            None => by_hand("has no value"),
        };
    };
    let mut cursor = node.walk();
    for child in node.named_children(&mut cursor) {
        match child.kind() {
            "anchor" => return by_hand("bears an anchor, which other places may repeat"),
            "tag" => return by_hand("bears a tag"),
            "alias" => return by_hand("repeats an anchor, which other places may do too"),
            _ => {}
        }
    }
    let shown = || shortened(text.get(node.byte_range()).unwrap_or_default());
    let Some(place) = yaml::content(node) else { return by_hand("has no value") };
    let (Some(held), Some(present)) = (yaml::scalar(place, text), text.get(place.byte_range())) else {
        return by_hand(&format!("is `{}`, no value on one line", shown()));
    };
    let quote = present.chars().next().filter(|first| place.kind() != "plain_scalar" && "'\"".contains(*first));
    let now = match wanted.number() {
        Some(number) => {
            if number_of(&held).is_some_and(|present| same(present, number)) || is_same_time(&held, wanted) {
                return Ok(None);
            }
            let is_none = matches!(held.as_str(), "" | "~" | "null" | "Null" | "NULL");
            if !is_none && !is_number(&held) {
                return by_hand(&format!("is `{}`, which is no number", shown()));
            }
            quote.map_or_else(|| number.to_string(), |quote| format!("{quote}{number}{quote}"))
        }
        None if held == plain(wanted) && (quote.is_some() || is_plain(&held)) => return Ok(None),
        None => text_in(quote, &plain(wanted)),
    };
    Ok(Some((place.byte_range(), now)))
}

/// A number that every reader of YAML takes for the same one.
fn number_of(text: &str) -> Option<f64> {
    let digits = text.trim_start_matches(['+', '-']);
    let is_octal =
        digits.len() > 1 && digits.starts_with('0') && digits.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
    let is_decimal = digits.chars().all(|letter| letter.is_ascii_digit() || "+-.eE".contains(letter));
    text.parse().ok().filter(|_| is_decimal && !is_octal)
}

/// Whether a text is a number in some version of YAML.
fn is_number(text: &str) -> bool {
    let text = text.trim_start_matches(['+', '-']).replace('_', "").to_ascii_lowercase();
    let based = ["0x", "0o", "0b"].iter().any(|sign| {
        text.strip_prefix(sign)
            .is_some_and(|rest| !rest.is_empty() && rest.chars().all(|digit| digit.is_ascii_hexdigit()))
    });
    based || text.starts_with(|first: char| first.is_ascii_digit() || first == '.') && text.parse::<f64>().is_ok()
}

/// Whether a text is the same text without quotes to every reader.
fn is_plain(text: &str) -> bool {
    text.contains(' ')
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.trim_end() == text
        && text.chars().all(|letter| letter.is_ascii_alphanumeric() || " _.()*+/=<>".contains(letter))
}

fn text_in(quote: Option<char>, text: &str) -> String {
    match quote {
        Some('\'') if !text.chars().any(breaks) => format!("'{}'", text.replace('\'', "''")),
        None if is_plain(text) => text.to_owned(),
        _ => Language::Yaml.literal(&Written::Text(text.to_owned())).unwrap_or_default(),
    }
}

fn number_or_text(value: &Value) -> String {
    value.number().map_or_else(|| text_in(None, &plain(value)), |number| number.to_string())
}

/// How names and values are written that a file has not.
struct Added {
    is_constants: bool,
    /// The quotes of variables' numbers, where all of them are quoted: readers of variables may insist on texts.
    quote: Option<char>,
}

impl Added {
    fn new(text: &str, found: &[Definition<'_, '_>], is_constants: bool) -> Self {
        let quote_of = |definition: &Definition<'_, '_>| {
            let value = definition.entry.value.and_then(yaml::content)?;
            text.get(value.byte_range())?.chars().next().filter(|first| "'\"".contains(*first))
        };
        let mut numbers = found.iter().filter(|definition| definition.setting.spec().unit != Unit::Sql).map(quote_of);
        let first = numbers.next().flatten();
        let quote = first.filter(|_| is_constants && numbers.all(|quote| quote.is_some()));
        Self { is_constants, quote }
    }

    fn line(&self, setting: Setting, value: &Value, names: Names<'_>) -> (String, String) {
        let name = if self.is_constants { names.constant(setting) } else { setting.name().to_owned() };
        let now = match (self.quote, value.number()) {
            (Some(quote), Some(number)) => format!("{quote}{number}{quote}"),
            // Within braces a comma would end a text without quotes; `number_or_text` quotes those.
            _ => number_or_text(value),
        };
        (name, now)
    }
}

type Placed = Result<(), (usize, String)>;

fn add_to_block(edits: &mut Edits, text: &str, mapping: Node<'_>, lines: &[(String, String)]) -> Placed {
    let mut cursor = mapping.walk();
    let pairs: Vec<_> =
        mapping.named_children(&mut cursor).filter(|child| child.kind() == "block_mapping_pair").collect();
    let (Some(first), Some(last)) = (pairs.first(), pairs.last()) else {
        return Err((mapping.start_byte(), "has no line to add others below".to_owned()));
    };
    let end = last.start_byte() + text.get(last.byte_range()).unwrap_or_default().trim_end().len();
    let (at, line_end) = (next_line(text, end), line_end(text));
    let column = text.get(start_of_line(text, first.start_byte())..first.start_byte()).unwrap_or_default();
    let indent = " ".repeat(column.trim_start_matches('\u{feff}').chars().count());
    let lines: Vec<String> = lines.iter().map(|(name, now)| format!("{name}: {now}")).collect();
    let first = if text[..at].ends_with('\n') { "" } else { line_end };
    // The lines join the block that ends right there.
    let is_joined = text[at..].trim_start().starts_with(super::END);
    let body = if is_joined { indented(&lines, &indent, line_end) } else { marked(&lines, &indent, line_end) };
    edits.insert(at, format!("{first}{body}"));
    Ok(())
}

fn add_to_flow(edits: &mut Edits, text: &str, mapping: Node<'_>, lines: &[(String, String)]) -> Placed {
    let mut cursor = mapping.walk();
    let children: Vec<_> = mapping.children(&mut cursor).collect();
    let (Some(closing), line_end) = (children.last(), line_end(text)) else {
        return Err((mapping.start_byte(), "has no end".to_owned()));
    };
    let last = children.iter().rposition(|node| node.is_named() && node.kind() != "comment");
    let Some(last) = last else { return Err((mapping.start_byte(), "is empty; write a name there".to_owned())) };
    let comma = children[last..].iter().find(|node| node.kind() == ",");
    let end = comma.map_or(children[last].end_byte(), Node::end_byte);
    if comma.is_none() {
        edits.insert(end, ",");
    }
    let outer = super::edit::indent_of(text, mapping.start_byte());
    let indent = format!("{outer}  ");
    let lines: Vec<String> = lines.iter().map(|(name, now)| format!("{name}: {now},")).collect();
    if start_of_line(text, closing.start_byte()) > end {
        let at = next_line(text, end);
        let is_joined = text[at..].trim_start().starts_with(super::END);
        let body = if is_joined { indented(&lines, &indent, line_end) } else { marked(&lines, &indent, line_end) };
        edits.insert(at, body);
    } else {
        edits.insert(end, format!("{line_end}{}{indent}", marked(&lines, &indent, line_end)));
    }
    Ok(())
}

/// Adds a mapping of its own at the end of the file.
fn add_mapping(edits: &mut Edits, text: &str, root: Node<'_>, lines: &[(String, String)], names: Names<'_>) -> Placed {
    let mut cursor = root.walk();
    let last = root.named_children(&mut cursor).filter(|node| node.kind() == "document").last();
    let mapping = last.and_then(|document| {
        let mut cursor = document.walk();
        document.named_children(&mut cursor).find(|node| matches!(node.kind(), "block_node" | "flow_node"))
    });
    let kind = mapping.and_then(yaml::content).map(|node| node.kind());
    if kind.is_some_and(|kind| kind != "block_mapping") {
        let at = mapping.map_or(0, |node| node.start_byte());
        return Err((at, "is not there, and the file is no block of names to add it to; add it by hand".to_owned()));
    }
    let variable = Setting::all().find(|setting| text.contains(&format!("{}=", names.constant(*setting))));
    if let Some(setting) = variable {
        let name = names.constant(setting);
        let at = text.find(&format!("{name}=")).unwrap_or(0);
        return Err((at, format!("is not there, but {name} is, in a text; make it a name with a value, `{name}: …`")));
    }
    let mut block = vec![format!("{}:", MAPPINGS[0])];
    block.extend(lines.iter().map(|(name, now)| format!("  {name}: {now}")));
    append(edits, text, &block, None);
    Ok(())
}
