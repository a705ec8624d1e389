//! Python's literals: what they hold.

use tree_sitter::Node;

/// The text that a string or several beside each other hold; `None` where it is not known before the program runs.
pub(super) fn text(node: Node<'_>, source: &str) -> Option<String> {
    match node.kind() {
        "string" => {
            let (start, end) = (node.child(0)?, node.child(node.child_count().checked_sub(1)?)?);
            let sign = source.get(start.byte_range())?.to_ascii_lowercase();
            let content = source.get(start.end_byte()..end.start_byte())?;
            let mut cursor = node.walk();
            let filled_in = node.children(&mut cursor).any(|child| child.kind() == "interpolation");
            if sign.contains(['b', 't']) || filled_in || sign.contains('f') && content.contains(['{', '}']) {
                None
            } else if sign.contains('r') {
                Some(content.to_owned())
            } else {
                unescaped(content)
            }
        }
        "concatenated_string" => {
            let mut cursor = node.walk();
            let parts = node.named_children(&mut cursor).filter(|child| child.kind() != "comment");
            parts.map(|part| text(part, source)).collect()
        }
        _ => None,
    }
}

/// What the escapes of a string mean; `None` where it takes Unicode's table of names.
fn unescaped(content: &str) -> Option<String> {
    // Python reads every line end as `\n`.
    let content = content.replace("\r\n", "\n");
    let mut text = String::new();
    let mut rest = content.chars();
    while let Some(character) = rest.next() {
        if character != '\\' {
            text.push(character);
            continue;
        }
        let digits = |rest: &mut std::str::Chars<'_>, n: usize| {
            let digits: String = rest.by_ref().take(n).collect();
            u32::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == n).and_then(char::from_u32)
        };
        match rest.next()? {
            '\n' => {}
            'n' => text.push('\n'),
            't' => text.push('\t'),
            'r' => text.push('\r'),
            'x' => text.push(digits(&mut rest, 2)?),
            'u' => text.push(digits(&mut rest, 4)?),
            'U' => text.push(digits(&mut rest, 8)?),
            same @ ('\\' | '\'' | '"') => text.push(same),
            'N' | 'a' | 'b' | 'f' | 'v' | '0'..='7' => return None,
            // Python keeps the backslash of an escape that it does not know.
            other => text.extend(['\\', other]),
        }
    }
    Some(text)
}

/// The number that a literal or arithmetic of literals is; `None` for all else.
pub(super) fn number(node: Node<'_>, source: &str, depth: u32) -> Option<f64> {
    if depth > 20 {
        return None;
    }
    let field = |name| number(node.child_by_field_name(name)?, source, depth + 1);
    let operator = || node.child_by_field_name("operator").map(|operator| operator.kind());
    match node.kind() {
        "integer" | "float" => number_of(source.get(node.byte_range())?),
        "unary_operator" => match operator()? {
            "-" => Some(-field("argument")?),
            "+" => field("argument"),
            _ => None,
        },
        "binary_operator" => {
            let (left, right) = (field("left")?, field("right")?);
            match operator()? {
                "+" => Some(left + right),
                "-" => Some(left - right),
                "*" => Some(left * right),
                "/" if right != 0.0 => Some(left / right),
                _ => None,
            }
        }
        "parenthesized_expression" => {
            let mut cursor = node.walk();
            let inner = node.named_children(&mut cursor).find(|child| child.kind() != "comment")?;
            number(inner, source, depth + 1)
        }
        _ => None,
    }
}

/// A number as Python writes it: `1_800`, `0x1e`, `2.5e1`.
fn number_of(text: &str) -> Option<f64> {
    let text = text.replace('_', "").to_ascii_lowercase();
    for (sign, base) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = text.strip_prefix(sign) {
            return u32::from_str_radix(digits, base).ok().map(f64::from);
        }
    }
    text.parse().ok()
}
