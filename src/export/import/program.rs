//! Names and values in programs: keyword arguments, entries of objects, fields, setters, constants.

use tree_sitter::{Language as Grammar, Node, Parser};

use super::{
    Format, ImportError, Language,
    pairs::{Held, Pair},
};
use crate::export::{
    into::{IntoError, expression, syntax},
    yaml::DEEPEST,
};

/// What people call the things that hold a section's names, beside what exports call them; `*` is anything, for names that
/// are nobody else's.
const HOLDERS: &[(&str, &[&str])] = &[
    ("engine_options", &["create_engine", "create_async_engine", "QueuePool", "SQLALCHEMY_ENGINE_OPTIONS"]),
    ("pool_options", &["ConnectionPool", "AsyncConnectionPool", "create_pool"]),
    ("acquire_options", &["acquire"]),
    ("default", &["DATABASES"]),
    ("breaker_options", &["CircuitBreaker"]),
    ("retry", &["pRetry"]),
    ("breaker", &["CircuitBreaker"]),
    ("pool_config", &["PoolConfig"]),
    ("timeouts", &["Timeouts"]),
    ("poolOptions", &["PoolOptions", "PgPoolOptions", "MySqlPoolOptions", "SqlitePoolOptions", "AnyPoolOptions"]),
    ("pool_builder", &["bb8", "Builder"]),
    ("retries", &["ExponentialBuilder"]),
    ("Apply", &["*"]),
    ("Config", &["*"]),
];

/// Whether names below `own` may be those of the section that exports hold in `holder`.
pub(super) fn holds(holder: &str, own: &[String]) -> bool {
    let known = HOLDERS.iter().filter(|(name, _)| super::pairs::plain(name) == super::pairs::plain(holder));
    known.flat_map(|(_, others)| *others).any(|other| *other == "*" || own.iter().any(|name| name == other))
}

/// The names and values of a program.
pub(super) fn pairs(format: &Format, text: &str) -> Result<Vec<Pair>, ImportError> {
    let grammar: Grammar = match format.language {
        Language::JavaScript => tree_sitter_javascript::LANGUAGE.into(),
        Language::Rust => tree_sitter_rust::LANGUAGE.into(),
        Language::Go => tree_sitter_go::LANGUAGE.into(),
        _ => tree_sitter_python::LANGUAGE.into(),
    };
    let mut parser = Parser::new();
    let tree = parser.set_language(&grammar).ok().and_then(|()| parser.parse(text, None));
    // Only a grammar made for another version of the library could be refused, and a test would tell.
    let tree = tree.ok_or(IntoError::NotReadBack)?;
    if let Some(at) = syntax::broken(tree.root_node()) {
        return Err(IntoError::syntax(text, at).into());
    }
    let mut pairs = Vec::new();
    // Without recursion, because a file may be nested deeper than a stack.
    let mut stack = vec![(tree.root_node(), Vec::new())];
    while let Some((node, mut path)) = stack.pop() {
        if path.len() > DEEPEST {
            continue;
        }
        // What a setter is called on stands beside its argument, not below its name.
        let receiver = node.child_by_field_name("function").filter(|_| node.kind() == "call_expression");
        let outer = path.clone();
        if let Some((name, value, around)) = named(node, text) {
            path.extend(around);
            let (at, name) = (name.start_byte(), name_of(name, text));
            let held = held(value, text);
            pairs.push(Pair { path: Some(path.clone()), name: name.clone(), at: Some(at), held, document: 0 });
            path.push(name);
        } else if let Some(callee) =
            ["function", "constructor", "name"].iter().find_map(|f| node.child_by_field_name(f))
        {
            path.extend(words(callee, text));
        }
        let mut cursor = node.walk();
        stack.extend(
            node.named_children(&mut cursor)
                .map(|child| (child, if Some(child) == receiver { outer.clone() } else { path.clone() })),
        );
    }
    pairs.sort_by_key(|pair| pair.at);
    Ok(pairs)
}

/// The name and the value of a node that gives one to the other, and what a setter is called on.
fn named<'t>(node: Node<'t>, text: &str) -> Option<(Node<'t>, Node<'t>, Vec<String>)> {
    let fields =
        |name: &str, value: &str| Some((node.child_by_field_name(name)?, node.child_by_field_name(value)?, Vec::new()));
    match node.kind() {
        "pair" => fields("key", "value"),
        "keyword_argument" | "variable_declarator" | "const_item" | "static_item" | "const_spec" | "var_spec" => {
            fields("name", "value")
        }
        "assignment" | "assignment_expression" | "assignment_statement" | "short_var_declaration" => {
            fields("left", "right")
        }
        "let_declaration" => fields("pattern", "value"),
        "field_initializer" => fields("field", "value"),
        "keyed_element" => Some((node.named_child(0)?, node.named_child(1)?, Vec::new())),
        "call_expression" => {
            let function = node.child_by_field_name("function")?;
            let name = function.child_by_field_name("field")?;
            let arguments = node.child_by_field_name("arguments")?;
            let receiver = function.child_by_field_name("value").or(function.child_by_field_name("operand"))?;
            let only = arguments.named_child(0).filter(|_| arguments.named_child_count() == 1)?;
            Some((name, only, words(receiver, text)))
        }
        _ => None,
    }
}

/// The names that a chain of calls begins with: `PgPoolOptions`, `new`.
fn words(mut node: Node<'_>, text: &str) -> Vec<String> {
    for _ in 0..DEEPEST {
        let Some(inner) = ["function", "value", "operand"].iter().find_map(|field| node.child_by_field_name(field))
        else {
            break;
        };
        node = inner;
    }
    let text = text.get(node.byte_range()).unwrap_or_default();
    let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
    text.split(|letter| !is_word(letter)).filter(|word| !word.is_empty()).take(20).map(str::to_owned).collect()
}

fn name_of(node: Node<'_>, text: &str) -> String {
    let text = text.get(node.byte_range()).unwrap_or_default();
    let text = text.trim_matches(['"', '\'', '`']);
    text.rsplit('.').next().unwrap_or_default().trim().to_owned()
}

fn held(node: Node<'_>, text: &str) -> Held {
    let node = single(node);
    let shown = text.get(node.byte_range()).unwrap_or_default();
    match (node.kind(), shown) {
        ("true" | "boolean_literal", "true" | "True") => Held::Truth(true),
        ("false" | "boolean_literal", "false" | "False") => Held::Truth(false),
        // What is put into a text when the program runs is not known here.
        ("string" | "template_string", _) if is_filled_in(node) => Held::Unclear(shown.to_owned()),
        ("template_string", _) => Held::Text(shown.trim_matches('`').to_owned()),
        ("string" | "string_literal" | "interpreted_string_literal", _) => {
            Held::Text(shown.trim_matches(['"', '\'']).to_owned())
        }
        ("none", _) => Held::Unclear(shown.to_owned()),
        _ => match number(node, text, 0).map(Held::Number) {
            Some(held) => held,
            None => match expression::plain_value(node, text) {
                Some(expression::Plain::Number(number)) => Held::Number(number),
                // The default of `int(os.getenv(…))`.
                Some(expression::Plain::Text(text)) if text.trim().parse::<f64>().is_ok() => Held::Text(text),
                _ => Held::Unclear(shown.to_owned()),
            },
        },
    }
}

fn is_filled_in(node: Node<'_>) -> bool {
    let mut cursor = node.walk();
    node.named_children(&mut cursor).any(|child| matches!(child.kind(), "interpolation" | "template_substitution"))
}

/// A node without what only wraps it.
fn single(mut node: Node<'_>) -> Node<'_> {
    while let ("expression_list" | "literal_element" | "parenthesized_expression", 1) =
        (node.kind(), node.named_child_count())
        && let Some(inner) = node.named_child(0)
    {
        node = inner;
    }
    node
}

/// A number, or a time in seconds, that is known before the program runs.
fn number(node: Node<'_>, text: &str, depth: u32) -> Option<f64> {
    if depth > 20 {
        return None;
    }
    let node = single(node);
    let shown = text.get(node.byte_range())?;
    let field = |name: &str| number(node.child_by_field_name(name)?, text, depth + 1);
    match node.kind() {
        "integer" | "float" | "number" | "integer_literal" | "float_literal" | "int_literal" => {
            let digits = shown.replace('_', "");
            let digits =
                digits.trim_end_matches(|letter: char| letter.is_ascii_alphanumeric() && !letter.is_ascii_digit());
            digits.parse().ok()
        }
        "unary_operator" | "unary_expression" if shown.starts_with('-') => Some(-number(
            node.named_child(u32::try_from(node.named_child_count()).ok()?.checked_sub(1)?)?,
            text,
            depth + 1,
        )?),
        "binary_operator" | "binary_expression" => {
            let (left, right) = (field("left")?, field("right")?);
            match node.child_by_field_name("operator")?.kind() {
                "*" => Some(left * right),
                "+" => Some(left + right),
                "-" => Some(left - right),
                "/" if right != 0.0 => Some(left / right),
                _ => None,
            }
        }
        "selector_expression" => unit(shown.strip_prefix("time.")?),
        "call_expression" => {
            let arguments = node.child_by_field_name("arguments")?;
            let only = number(arguments.named_child(0)?, text, depth + 1)?;
            let function = name_of(node.child_by_field_name("function")?, text);
            match function.rsplit("::").next()? {
                // Conversions.
                "Some" | "int" | "int32" | "int64" | "Duration" | "Number" => Some(only),
                function => Some(only * unit(function.strip_prefix("from_")?)?),
            }
        }
        _ => None,
    }
}

fn unit(name: &str) -> Option<f64> {
    Some(match name {
        "Hour" | "hours" => 3600.0,
        "Minute" | "mins" => 60.0,
        "Second" | "secs" | "secs_f64" | "secs_f32" => 1.0,
        "Millisecond" | "millis" => 1e-3,
        "Microsecond" | "micros" => 1e-6,
        "Nanosecond" | "nanos" => 1e-9,
        _ => return None,
    })
}
