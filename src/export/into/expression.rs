//! Where in an expression of Python the value stands: in `int(os.getenv('X', '2'))` it is the `2`.

use std::ops::Range;

use tree_sitter::Node;

use super::{
    edit::same,
    error::shortened,
    is_same_time,
    literal::{number, text},
    plain, python_literal,
};
use crate::{export::python, model::Value};

/// Functions that read the environment, or settings like it, and take a default second.
const READERS: [&str; 9] =
    ["os.getenv", "getenv", "os.environ.get", "environ.get", "env", "env.int", "env.float", "env.str", "config"];
/// Those of them that give text, so that their default is a text too.
const TEXT_READERS: [&str; 4] = ["os.getenv", "getenv", "os.environ.get", "environ.get"];

/// What stands around a value and says of which kind it has to be.
#[derive(Clone, Copy, Default)]
struct Around {
    whole: bool,
    number: bool,
    text: bool,
}

/// The part of an expression to replace, and its new text; `None` when the expression has the value already.
///
/// # Errors
/// What stands in the way, as the end of a sentence that begins with the name.
pub(super) fn replacement(
    node: Node<'_>,
    source: &str,
    value: &Value,
) -> Result<Option<(Range<usize>, String)>, String> {
    let (place, around) = place(node, source, value, Around::default(), 0)?;
    match value.number() {
        Some(_) if text(place, source).is_some_and(|held| is_same_time(&held, value)) => Ok(None),
        Some(wanted) => with_number(place, source, wanted, around),
        None => with_text(place, source, &plain(value), around),
    }
}

/// A value that is known before the program runs.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::export) enum Plain {
    Number(f64),
    Text(String),
}

/// What an expression holds, or takes by default.
pub(in crate::export) fn plain_value(node: Node<'_>, source: &str) -> Option<Plain> {
    let (place, _) = place(node, source, &Value::Count(0), Around::default(), 0).ok()?;
    if place.kind() == "none" {
        return Some(Plain::Text(String::new()));
    }
    text(place, source).map(Plain::Text).or_else(|| number(place, source, 0).map(Plain::Number))
}

fn with_number(
    place: Node<'_>,
    source: &str,
    wanted: f64,
    around: Around,
) -> Result<Option<(Range<usize>, String)>, String> {
    if around.whole && wanted.fract() != 0.0 {
        return Err(format!("is read by int(), which cannot hold {wanted}; write float() in its place"));
    }
    let now = if let Some(present) = text(place, source) {
        match present.trim().replace('_', "").parse::<f64>() {
            Ok(number) if same(number, wanted) => return Ok(None),
            // "30s" is for a reader that a bare number would mislead.
            Err(_) if !present.trim().is_empty() => {
                return Err(format!(
                    "is the text `{}`, which is no number; write {wanted} there by hand",
                    shortened(&present)
                ));
            }
            _ => {}
        }
        quoted_as(place, source, &wanted.to_string())
    } else if number(place, source, 0).is_some_and(|present| same(present, wanted)) {
        return Ok(None);
    } else if place.kind() == "none" && around.text {
        python::text(&wanted.to_string())
    } else {
        wanted.to_string()
    };
    replaced(place, now)
}

fn with_text(
    place: Node<'_>,
    source: &str,
    wanted: &str,
    around: Around,
) -> Result<Option<(Range<usize>, String)>, String> {
    if around.number {
        return Err("is made a number, and the setting is a statement in SQL; remove int() or float()".to_owned());
    }
    if text(place, source).as_deref() == Some(wanted) {
        return Ok(None);
    }
    replaced(place, quoted_as(place, source, wanted))
}

fn replaced(place: Node<'_>, now: String) -> Result<Option<(Range<usize>, String)>, String> {
    if has_comment(place) {
        return Err(format!("has a comment within its value, which would be lost; write {now} there by hand"));
    }
    Ok(Some((place.byte_range(), now)))
}

/// A text in the quotes that stand there.
fn quoted_as(place: Node<'_>, source: &str, text: &str) -> String {
    let present = source.get(place.byte_range()).unwrap_or_default();
    let quote = present.chars().find(|character| matches!(character, '\'' | '"')).unwrap_or('\'');
    python::text_in(quote, text)
}

fn has_comment(node: Node<'_>) -> bool {
    let mut cursor = node.walk();
    node.children(&mut cursor).any(|child| child.kind() == "comment" || has_comment(child))
}

fn place<'t>(
    node: Node<'t>,
    source: &str,
    value: &Value,
    around: Around,
    depth: u32,
) -> Result<(Node<'t>, Around), String> {
    let shown = || shortened(source.get(node.byte_range()).unwrap_or_default());
    let refuse = || {
        let literal = python_literal(value);
        Err(format!("is not a plain value but `{}`; write {literal} there by hand", shown()))
    };
    if depth > 20 {
        return refuse();
    }
    let deeper = |node, around| place(node, source, value, around, depth + 1);
    match node.kind() {
        "integer" | "float" | "true" | "false" | "none" => Ok((node, around)),
        "string" | "concatenated_string" if text(node, source).is_some() || !is_filled_in(node) => Ok((node, around)),
        "unary_operator" | "binary_operator" if number(node, source, 0).is_some() => Ok((node, around)),
        "parenthesized_expression" => match only_child(node) {
            Some(inner) => deeper(inner, around),
            None => refuse(),
        },
        "boolean_operator" => {
            let (left, right) = (node.child_by_field_name("left"), node.child_by_field_name("right"));
            let is_or = node.child_by_field_name("operator").is_some_and(|operator| operator.kind() == "or");
            match (left.and_then(|left| Call::of(left, source)), right) {
                (Some(call), Some(right))
                    if is_or && READERS.contains(&call.function.as_str()) && call.has_no_default() =>
                {
                    deeper(right, around)
                }
                _ => refuse(),
            }
        }
        "call" => {
            let Some(call) = Call::of(node, source) else { return refuse() };
            let function = call.function.as_str();
            match function {
                "int" | "float" | "str" if call.positional.len() == 1 && call.keywords.is_empty() => {
                    let whole = around.whole || function == "int";
                    let is_number = around.number || function != "str";
                    deeper(call.positional[0], Around { whole, number: is_number, ..around })
                }
                _ if READERS.contains(&function) => {
                    let Some(default) = call.keyword("default").or(call.positional.get(1).copied()) else {
                        return Err(format!("has no default to change: `{}`; add one", shown()));
                    };
                    let cast = call.keyword("cast").and_then(|cast| source.get(cast.byte_range()));
                    let whole = around.whole || function == "env.int" || cast == Some("int");
                    let is_number = whole || around.number || function == "env.float" || cast == Some("float");
                    let is_text = TEXT_READERS.contains(&function);
                    deeper(default, Around { whole, number: is_number, text: is_text })
                }
                "Field" | "field" => match call.keyword("default").or(call.positional.first().copied()) {
                    Some(default) => deeper(default, around),
                    None => refuse(),
                },
                _ => refuse(),
            }
        }
        _ => refuse(),
    }
}

fn is_filled_in(node: Node<'_>) -> bool {
    let mut cursor = node.walk();
    node.children(&mut cursor).any(|child| child.kind() == "interpolation" || is_filled_in(child))
}

fn only_child(node: Node<'_>) -> Option<Node<'_>> {
    let mut cursor = node.walk();
    let mut inner = node.named_children(&mut cursor).filter(|child| child.kind() != "comment");
    let first = inner.next();
    first.filter(|_| inner.next().is_none())
}

/// A call with its arguments.
pub(super) struct Call<'t> {
    /// The function as it is written, without white space.
    pub(super) function: String,
    positional: Vec<Node<'t>>,
    /// Names and values.
    pub(super) keywords: Vec<(String, Node<'t>)>,
}

impl<'t> Call<'t> {
    pub(super) fn of(node: Node<'t>, source: &str) -> Option<Self> {
        let function = node.child_by_field_name("function")?;
        let arguments = node.child_by_field_name("arguments").filter(|node| node.kind() == "argument_list")?;
        let mut call = Self {
            function: source.get(function.byte_range())?.split_whitespace().collect(),
            positional: Vec::new(),
            keywords: Vec::new(),
        };
        let mut cursor = arguments.walk();
        for argument in arguments.named_children(&mut cursor) {
            match argument.kind() {
                "comment" => {}
                "keyword_argument" => {
                    let name = argument.child_by_field_name("name")?;
                    let value = argument.child_by_field_name("value")?;
                    call.keywords.push((source.get(name.byte_range())?.to_owned(), value));
                }
                // What is unpacked there is not known.
                "list_splat" | "dictionary_splat" => return None,
                _ => call.positional.push(argument),
            }
        }
        Some(call)
    }

    fn keyword(&self, name: &str) -> Option<Node<'t>> {
        self.keywords.iter().find(|(keyword, _)| keyword == name).map(|(_, value)| *value)
    }

    fn has_no_default(&self) -> bool {
        self.positional.len() == 1 && self.keywords.is_empty()
    }
}
