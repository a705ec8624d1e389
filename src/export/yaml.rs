//! Where names stand in YAML, and in JSON, which is a part of it: serde tells what a text holds, tree-sitter where.

use serde_json::Value as Json;
use tree_sitter::{Node, Parser, Tree};

/// No configuration is nested deeper, and the names around each name are kept.
pub(super) const DEEPEST: usize = 200;

/// A name of a mapping with the place of its value.
#[derive(Clone, Debug)]
pub(super) struct Entry<'t> {
    /// The document in the file, from 0.
    pub(super) document: usize,
    /// The names around it, outermost first; places in a list are numbers.
    pub(super) path: Vec<String>,
    pub(super) name: String,
    /// The name with its value.
    pub(super) pair: Node<'t>,
    /// The value with its anchor and tag; `None` where nothing stands.
    pub(super) value: Option<Node<'t>>,
    pub(super) mapping: Node<'t>,
}

/// What each document of a text holds.
///
/// # Errors
/// The line, from 1, and what is wrong there.
pub(super) fn documents(text: &str) -> Result<Vec<Json>, (usize, String)> {
    serde_yaml::from_multiple(text.trim_start_matches('\u{feff}')).map_err(|error| {
        let line = error.location().and_then(|location| usize::try_from(location.line()).ok());
        let message = error.without_snippet().to_string();
        (line.unwrap_or(1).max(1), message.lines().next().unwrap_or_default().to_owned())
    })
}

/// The text as a tree; `None` where the grammar is not the library's, which a test would tell.
pub(super) fn tree(text: &str) -> Option<Tree> {
    let mut parser = Parser::new();
    parser.set_language(&tree_sitter_yaml::LANGUAGE.into()).ok()?;
    parser.parse(text, None)
}

/// Every name of every mapping.
pub(super) fn entries<'t>(root: Node<'t>, text: &str) -> Vec<Entry<'t>> {
    let mut entries = Vec::new();
    let mut documents = 0;
    // Without recursion, because a file may be nested deeper than a stack.
    let mut stack = vec![(root, None, Vec::new())];
    while let Some((node, mapping, mut path)) = stack.pop() {
        if path.len() > DEEPEST {
            continue;
        }
        let (mut inner, mut items) = (mapping, 0);
        match node.kind() {
            "document" => documents += 1,
            "block_mapping" | "flow_mapping" => inner = Some(node),
            "block_mapping_pair" | "flow_pair" => {
                let key = node.child_by_field_name("key").and_then(content);
                let name = key.and_then(|key| scalar(key, text));
                let value = node.child_by_field_name("value");
                if let (Some(name), Some(mapping)) = (name, mapping) {
                    let document = usize::saturating_sub(documents, 1);
                    entries.push(Entry {
                        document,
                        path: path.clone(),
                        name: name.clone(),
                        pair: node,
                        value,
                        mapping,
                    });
                    path.push(name);
                }
                stack.extend(value.map(|value| (value, None, path)));
                continue;
            }
            _ => {}
        }
        let is_list = matches!(node.kind(), "block_sequence" | "flow_sequence");
        let mut cursor = node.walk();
        let mut children: Vec<_> = node
            .named_children(&mut cursor)
            .map(|child| {
                let mut path = path.clone();
                if is_list && child.kind() != "comment" {
                    path.push(items.to_string());
                    items += 1;
                }
                (child, inner, path)
            })
            .collect();
        children.reverse();
        stack.extend(children);
    }
    entries
}

/// A value without its anchor and tag.
pub(super) fn content(node: Node<'_>) -> Option<Node<'_>> {
    let mut cursor = node.walk();
    node.named_children(&mut cursor).filter(|child| !matches!(child.kind(), "anchor" | "tag" | "comment")).last()
}

/// The text that a scalar on one line holds; `None` for all else.
pub(super) fn scalar(node: Node<'_>, text: &str) -> Option<String> {
    let present = text.get(node.byte_range())?;
    match node.kind() {
        "plain_scalar" => Some(present.to_owned()),
        "single_quote_scalar" | "double_quote_scalar" => match serde_yaml::from_str::<Json>(present) {
            Ok(Json::String(held)) => Some(held),
            _ => None,
        },
        _ => None,
    }
}
