//! Where a Python file takes what it has not: beside most of what it has.

use tree_sitter::Node;

use super::{
    Edits, Names, Wanted,
    edit::{append, indent_of, line_end, line_text, marked, next_line, start_of_line},
    python::{Definition, Sure},
    python_literal,
};
use crate::model::Setting;

/// Adds the settings that are missing, in one block between two marks.
pub(super) fn add(
    edits: &mut Edits,
    source: &str,
    found: &[Definition<'_>],
    marks: &[(usize, Option<Node<'_>>)],
    missing: &[Setting],
    wanted: Wanted<'_>,
    names: Names<'_>,
) {
    let container = home(found).filter(|node| can_take(*node));
    let in_dictionary = container.is_some_and(|node| node.kind() == "dictionary");
    let in_home = |definition: &&Definition<'_>| definition.container == container;
    // A dictionary has either the guide's names or the constants' as its keys.
    let plain = in_dictionary && found.iter().filter(in_home).any(|definition| definition.sure != Sure::Constant);
    let quote = container.and_then(|node| source.get(node.byte_range())).and_then(first_quote).unwrap_or('\'');
    let mut lines = Vec::new();
    for setting in missing {
        let value = wanted.get(*setting);
        let now = python_literal(value);
        let name = if plain { setting.name().to_owned() } else { names.constant(*setting) };
        edits.added(&name, &now);
        lines.push(if in_dictionary { format!("{quote}{name}{quote}: {now},") } else { format!("{name} = {now}") });
    }
    // A block that is there already takes the lines, so that there is only one.
    let block = marks.iter().find(|(_, around)| *around == container).map(|(at, _)| *at);
    match container {
        Some(node) if block.is_none() && in_dictionary => add_to_dictionary(edits, source, node, &lines),
        Some(node) if block.is_none() => add_to_class(edits, source, node, &lines),
        _ => append(edits, source, &lines, block),
    }
}

fn first_quote(text: &str) -> Option<char> {
    text.chars().find(|character| matches!(character, '\'' | '"'))
}

/// The class or dictionary that holds most of the settings; `None` for the file itself.
fn home<'t>(found: &[Definition<'t>]) -> Option<Node<'t>> {
    let count = |container: Option<Node<'_>>| found.iter().filter(|other| other.container == container).count();
    // The first of those that have as many.
    found.iter().rev().max_by_key(|definition| count(definition.container)).and_then(|definition| definition.container)
}

/// The first of the guide's names, where all that a file has are those and none is in a dictionary's braces.
pub(super) fn has_no_home<'a, 't>(found: &'a [Definition<'t>]) -> Option<&'a Definition<'t>> {
    let plain = found.iter().all(|definition| definition.sure != Sure::Constant);
    found.first().filter(|_| plain && home(found).is_none_or(|node| node.kind() != "dictionary"))
}

/// Whether there is a line in it that others can be put below.
fn can_take(node: Node<'_>) -> bool {
    if node.kind() == "dictionary" {
        return true;
    }
    let body = node.child_by_field_name("body");
    body.is_some_and(|body| body.start_position().row > node.start_position().row)
}

fn add_to_class(edits: &mut Edits, source: &str, class: Node<'_>, lines: &[String]) {
    let Some(body) = class.child_by_field_name("body") else { return };
    let mut cursor = body.walk();
    let Some(last) = body.named_children(&mut cursor).filter(|node| node.kind() != "comment").last() else { return };
    let indent = indent_of(source, body.start_byte());
    let at = next_line(source, last.end_byte());
    let end = line_end(source);
    let first = if source[..at].ends_with('\n') { "" } else { end };
    edits.insert(at, format!("{first}{}", marked(lines, indent, end)));
}

fn add_to_dictionary(edits: &mut Edits, source: &str, dictionary: Node<'_>, lines: &[String]) {
    let mut cursor = dictionary.walk();
    let children: Vec<_> = dictionary.children(&mut cursor).collect();
    let Some(index) = children.iter().rposition(|node| node.is_named() && node.kind() != "comment") else { return };
    let last = children[index];
    let comma = children[index..].iter().find(|node| node.kind() == ",");
    let at = comma.map_or(last.end_byte(), Node::end_byte);
    let line_end = line_end(source);
    let mut indent = indent_of(source, last.start_byte()).to_owned();
    if start_of_line(source, last.start_byte()) == start_of_line(source, dictionary.start_byte()) {
        indent.push_str("    ");
    }
    if comma.is_none() {
        edits.insert(last.end_byte(), ",");
    }
    let closing = dictionary.end_byte().saturating_sub(1);
    if start_of_line(source, closing) > at {
        edits.insert(next_line(source, at), marked(lines, &indent, line_end));
    } else {
        let outer = &line_text(source, dictionary.start_byte());
        let outer = &outer[..outer.len() - outer.trim_start().len()];
        edits.insert(at, format!("{line_end}{}{outer}", marked(lines, &indent, line_end)));
    }
}
