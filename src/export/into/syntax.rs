//! What Python would not run, and so is not changed.

use tree_sitter::Node;

use super::{
    IntoError,
    edit::{indent_of, start_of_line},
};

/// Python takes another encoding from a comment in the first two lines.
pub(super) fn check_encoding(text: &str) -> Result<(), IntoError> {
    for (index, line) in text.lines().take(2).enumerate() {
        let comment = line.trim_start_matches(['\u{feff}', ' ', '\t', '\u{c}']);
        let Some((_, rest)) = comment.strip_prefix('#').and_then(|comment| comment.split_once("coding")) else {
            continue;
        };
        let Some(rest) = rest.strip_prefix([':', '=']) else { continue };
        let is_part = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
        let encoding: String = rest.trim_start().chars().take_while(|character| is_part(*character)).collect();
        let plain = encoding.to_ascii_lowercase().replace('_', "-");
        if !(plain.is_empty() || ["utf-8", "utf8", "utf-8-sig", "ascii", "us-ascii"].contains(&plain.as_str())) {
            return Err(IntoError::Encoding { line: index + 1, encoding });
        }
    }
    Ok(())
}

/// Where the first part stands that is no Python.
///
/// The parser is an editor's: it forgives wrong indents and reads Python 2, so those are looked for here.
pub(super) fn error_in(root: Node<'_>, source: &str) -> Option<usize> {
    if source.trim_end().contains('\r') && !source.contains('\n') {
        // The parser knows no line ends of that kind.
        return Some(0);
    }
    broken(root).or_else(|| layout_error(root, source))
}

/// Where a carriage return stands alone, which some readers take for the end of a line and others do not.
pub(super) fn lone_return(source: &str) -> Option<usize> {
    let bytes = source.as_bytes();
    bytes.iter().enumerate().find_map(|(at, byte)| (*byte == b'\r' && bytes.get(at + 1) != Some(&b'\n')).then_some(at))
}

/// Where the parser found the first part that it does not know.
pub(in crate::export) fn broken(root: Node<'_>) -> Option<usize> {
    if !root.has_error() {
        return None;
    }
    let mut at = root.start_byte();
    let mut stack = vec![root];
    while let Some(node) = stack.pop() {
        if node.is_error() || node.is_missing() {
            return Some(node.start_byte());
        }
        at = node.start_byte();
        let mut cursor = node.walk();
        let mut children: Vec<_> = node.children(&mut cursor).filter(Node::has_error).collect();
        children.reverse();
        stack.extend(children);
    }
    Some(at)
}

/// Where the first statement stands that Python's rules of indents forbid, or Python 2 alone knows.
fn layout_error(root: Node<'_>, source: &str) -> Option<usize> {
    let mut stack = vec![root];
    while let Some(node) = stack.pop() {
        let mut cursor = node.walk();
        let children: Vec<_> = node.named_children(&mut cursor).filter(|child| child.kind() != "comment").collect();
        match node.kind() {
            "print_statement" | "exec_statement" => return Some(node.start_byte()),
            "module" | "block" => {
                // Statements after a `;` or on the line of their `if` have no indent of their own.
                let own = |child: &&Node<'_>| begins_line(source, child.start_byte());
                let indent = |child: &Node<'_>| indent_of(source, child.start_byte()).trim_start_matches('\u{c}');
                let outer = node.parent().map_or("", |parent| indent_of(source, parent.start_byte()));
                let mut expected = (node.kind() == "module").then_some("");
                for child in children.iter().filter(own) {
                    let is_deeper = node.kind() == "module" || indent(child).len() > outer.len();
                    if expected.is_some_and(|expected| expected != indent(child)) || !is_deeper {
                        return Some(child.start_byte());
                    }
                    expected = Some(indent(child));
                }
                if node.kind() == "block" && children.is_empty() {
                    return Some(node.start_byte());
                }
            }
            _ => {}
        }
        stack.extend(children.into_iter().rev());
    }
    None
}

/// Whether only white space stands before a byte in its line, and the line before does not go on into this one.
fn begins_line(source: &str, at: usize) -> bool {
    let start = start_of_line(source, at);
    let before = source[..start].trim_end_matches('\n').trim_end_matches('\r');
    indent_of(source, at).len() + start == at && !before.ends_with('\\')
}
