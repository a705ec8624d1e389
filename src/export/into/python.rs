//! Where a Python file defines settings: constants, class attributes, entries of dictionaries.

use tree_sitter::{Node, Parser};

use super::{
    Edits, IntoError, Names, Obstacle, Wanted, block,
    edit::line_of,
    expression::{Call, Plain, plain_value, replacement},
    literal, python_literal, syntax,
};
use crate::model::Setting;

/// The guide's dictionary.
const GUIDE: &str = "connection_pool_config";

/// How sure it is that a name means the pool's setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sure {
    /// One of the guide's names in a dictionary that may be the pool's.
    Likely,
    /// One of the guide's names in the guide's dictionary.
    Guide,
    /// A name with the prefix.
    Constant,
}

/// A name with its value.
#[derive(Clone, Debug)]
pub(super) struct Definition<'t> {
    pub(super) setting: Setting,
    pub(super) name: String,
    pub(super) sure: Sure,
    at: usize,
    /// What it is given; or why that cannot be changed.
    value: Result<Node<'t>, &'static str>,
    /// The class or dictionary around it.
    pub(super) container: Option<Node<'t>>,
}

/// What holds for a part of the tree.
#[derive(Clone, Copy)]
struct Scope<'t> {
    container: Option<Node<'t>>,
    in_function: bool,
    inside: bool,
    /// How sure it is that the guide's names are the pool's here; `None` where nothing says so.
    sure: Option<Sure>,
}

struct Finder<'t, 'a> {
    source: &'t str,
    names: Names<'a>,
    found: Vec<Definition<'t>>,
    /// Ends of blocks that are there already.
    marks: Vec<(usize, Option<Node<'t>>)>,
    /// Prefixes of other names that end as settings do.
    other_prefixes: Vec<String>,
    part_is_there: bool,
}

/// What is done with what a file defines, while its tree is there.
fn with_found<T>(
    text: &str,
    names: Names<'_>,
    writes: impl Fn(Setting) -> bool,
    then: impl FnOnce(&[Definition<'_>], &Finder<'_, '_>) -> Result<T, IntoError>,
) -> Result<T, IntoError> {
    syntax::check_encoding(text)?;
    let mut parser = Parser::new();
    // Only a grammar made for another version of the library could be refused, and a test would tell.
    parser.set_language(&tree_sitter_python::LANGUAGE.into()).map_err(|_| IntoError::NotReadBack)?;
    let tree = parser.parse(text, None).ok_or(IntoError::NotReadBack)?;
    let root = tree.root_node();
    if let Some(at) = syntax::error_in(root, text) {
        return Err(IntoError::syntax(text, at));
    }
    let mut finder = Finder {
        source: text,
        names,
        found: Vec::new(),
        marks: Vec::new(),
        other_prefixes: Vec::new(),
        part_is_there: names.within.is_none(),
    };
    finder.walk(root);
    if let (false, Some(part)) = (finder.part_is_there, names.within) {
        return Err(IntoError::NoSuchPart(part.to_owned()));
    }
    let mut found = std::mem::take(&mut finder.found);
    // Names that may be another program's count only where nothing surer is there.
    let surest = found.iter().map(|definition| definition.sure).max().unwrap_or(Sure::Constant);
    found.retain(|definition| definition.sure >= surest.min(Sure::Guide));
    found.sort_by_key(|definition| definition.at);
    check_twice(text, &found, writes)?;
    then(&found, &finder)
}

/// What a file defines: each setting with its place and its value, if that is a plain one.
pub(in crate::export) fn defined(
    text: &str,
    names: Names<'_>,
) -> Result<Vec<(Setting, usize, Option<Plain>)>, IntoError> {
    with_found(
        text,
        names,
        |_| true,
        |found, _| {
            let defined = found.iter().map(|definition| {
                let value = definition.value.ok().and_then(|node| plain_value(node, text));
                (definition.setting, definition.at, value)
            });
            Ok(defined.collect())
        },
    )
}

/// What has to be replaced so that the file holds the settings.
pub(super) fn edits(text: &str, wanted: Wanted<'_>, names: Names<'_>) -> Result<Edits, IntoError> {
    let writes = |setting| wanted.writes(setting);
    with_found(text, names, writes, |found, finder| edits_of(text, wanted, names, found, finder))
}

fn edits_of(
    text: &str,
    wanted: Wanted<'_>,
    names: Names<'_>,
    found: &[Definition<'_>],
    finder: &Finder<'_, '_>,
) -> Result<Edits, IntoError> {
    let mut edits = Edits::default();
    for definition in found {
        let value = wanted.get(definition.setting);
        let outcome = definition.value.map_err(str::to_owned).and_then(|node| replacement(node, text, value));
        edits.settle(text, wanted, (definition.setting, &definition.name, definition.at), outcome);
    }
    let missing = wanted.missing(|setting| found.iter().any(|definition| definition.setting == setting));
    if !missing.is_empty()
        && let Some(alone) = block::has_no_home(found)
    {
        // Constants at the end of the file would be read by nobody.
        let lines = missing.iter().map(|setting| format!("{setting} = {}", python_literal(wanted.get(*setting))));
        edits.obstacles.push(Obstacle {
            line: line_of(text, alone.at),
            name: alone.name.clone(),
            text: format!(
                "stands where nothing can be added beside it; add by hand there: {}",
                lines.collect::<Vec<_>>().join(", ")
            ),
        });
    }
    let mut edits = edits.unhindered()?;
    if !missing.is_empty() {
        block::add(&mut edits, text, found, &finder.marks, &missing, wanted, names);
    }
    if found.is_empty()
        && let Some(other) = most_common(&finder.other_prefixes)
    {
        edits.hint = Some(format!(
            "the file has names that begin with {other}_, and these begin with {}_; if those are the pool's, add --prefix \
             {other}",
            names.prefix
        ));
    }
    Ok(edits)
}

fn check_twice(text: &str, found: &[Definition<'_>], writes: impl Fn(Setting) -> bool) -> Result<(), IntoError> {
    // What is not written may be there as often as it likes.
    for (index, definition) in found.iter().enumerate().filter(|(_, one)| writes(one.setting)) {
        if let Some(second) = found[index + 1..].iter().find(|other| other.name == definition.name) {
            let (first, second) = (line_of(text, definition.at), line_of(text, second.at));
            return Err(IntoError::Twice { name: definition.name.clone(), first, second });
        }
    }
    Ok(())
}

fn most_common(prefixes: &[String]) -> Option<&String> {
    let count = |prefix: &String| prefixes.iter().filter(|other| *other == prefix).count();
    prefixes.iter().max_by_key(|prefix| count(prefix)).filter(|prefix| count(prefix) > 1)
}

impl<'t> Finder<'t, '_> {
    fn text(&self, node: Node<'_>) -> &'t str {
        self.source.get(node.byte_range()).unwrap_or_default()
    }

    /// Without recursion, because a file may be nested deeper than a stack.
    fn walk(&mut self, root: Node<'t>) {
        let scope = Scope { container: None, in_function: false, inside: self.names.within.is_none(), sure: None };
        let mut stack = vec![(root, scope)];
        while let Some((node, scope)) = stack.pop() {
            let scope = self.visit(node, scope);
            let mut cursor = node.walk();
            stack.extend(node.named_children(&mut cursor).map(|child| (child, scope)));
        }
    }

    /// Notes what a node defines, and gives what holds within it.
    fn visit(&mut self, node: Node<'t>, mut scope: Scope<'t>) -> Scope<'t> {
        match node.kind() {
            "class_definition" => {
                let name = node.child_by_field_name("name").map(|name| self.text(name));
                self.enter(&mut scope, name.unwrap_or_default());
                scope.container = Some(node);
                scope.in_function = false;
            }
            "function_definition" | "lambda" => scope.in_function = true,
            "assignment" => self.assignment(node, &mut scope),
            "augmented_assignment" | "named_expression" => {
                let target = node.child_by_field_name("left").or(node.child_by_field_name("name"));
                let why = "is changed by an expression; write its value where it is defined";
                if let Some(target) = target {
                    self.target(target, Err(why), scope);
                }
            }
            "comment" if self.text(node).trim_end() == super::END => {
                self.marks.push((node.start_byte(), scope.container));
            }
            "dictionary" => {
                scope.container = Some(node);
                let mut cursor = node.walk();
                let entries: Vec<_> = node
                    .named_children(&mut cursor)
                    .filter_map(|pair| {
                        let key = pair.child_by_field_name("key")?;
                        Some((literal::text(key, self.source)?, key, pair.child_by_field_name("value")?))
                    })
                    .collect();
                self.entries(&entries, scope);
            }
            "pair" => {
                let key = node.child_by_field_name("key").and_then(|key| literal::text(key, self.source));
                self.enter(&mut scope, key.as_deref().unwrap_or_default());
            }
            "call" => {
                if let Some(call) = Call::of(node, self.source).filter(|call| call.function == "dict") {
                    let entries: Vec<_> = call.keywords.into_iter().map(|(name, value)| (name, value, value)).collect();
                    self.entries(&entries, Scope { container: None, ..scope });
                }
            }
            _ => {}
        }
        scope
    }

    /// Goes into what a name stands for.
    fn enter(&mut self, scope: &mut Scope<'t>, name: &str) {
        if self.names.within == Some(name) {
            scope.inside = true;
            self.part_is_there = true;
        }
        let name = name.to_ascii_lowercase();
        if name == GUIDE {
            scope.sure = Some(Sure::Guide);
        } else if name.contains("pool") {
            scope.sure = scope.sure.max(Some(Sure::Likely));
        }
    }

    fn assignment(&mut self, node: Node<'t>, scope: &mut Scope<'t>) {
        // `a = b = 2` is visited as a whole at `a`, where `b = 2` is the right side.
        if node.parent().is_some_and(|parent| parent.kind() == "assignment") {
            return;
        }
        let mut targets = Vec::new();
        let mut value = Some(node);
        while let Some(assignment) = value.filter(|value| value.kind() == "assignment") {
            targets.extend(assignment.child_by_field_name("left"));
            value = assignment.child_by_field_name("right");
        }
        // A name that is only annotated has no value yet.
        let Some(value) = value else { return };
        let several = targets.len() > 1;
        for target in targets {
            let value = if several {
                Err("is given its value together with another name; give each its own")
            } else {
                Ok(value)
            };
            self.target(target, value, *scope);
            self.enter(scope, self.text(target));
        }
    }

    /// Notes a target of an assignment where it is a setting's.
    fn target(&mut self, target: Node<'t>, value: Result<Node<'t>, &'static str>, scope: Scope<'t>) {
        match target.kind() {
            "identifier" if !scope.in_function => {
                let name = self.text(target);
                self.note_other_prefix(name);
                self.constant(name, target, value, scope);
            }
            "attribute" => {
                if let Some(attribute) = target.child_by_field_name("attribute") {
                    self.constant(self.text(attribute), target, value, Scope { container: None, ..scope });
                }
            }
            "subscript" => {
                let object = target.child_by_field_name("value").map(|object| self.text(object)).unwrap_or_default();
                let key = target.child_by_field_name("subscript").and_then(|key| literal::text(key, self.source));
                let Some(key) = key else { return };
                let mut scope = Scope { container: None, ..scope };
                self.enter(&mut scope, object.rsplit('.').next().unwrap_or_default());
                self.constant(&key, target, value, scope);
                if scope.sure.is_some() {
                    self.plain(&key, target, value, scope);
                }
            }
            "pattern_list" | "tuple_pattern" | "list_pattern" => {
                let mut cursor = target.walk();
                for part in target.named_children(&mut cursor) {
                    self.target(
                        part,
                        Err("is given its value together with other names; give it one of its own"),
                        scope,
                    );
                }
            }
            _ => {}
        }
    }

    fn entries(&mut self, entries: &[(String, Node<'t>, Node<'t>)], scope: Scope<'t>) {
        let known = entries.iter().filter(|(key, ..)| key.parse::<Setting>().is_ok()).count();
        for (key, at, value) in entries {
            self.constant(key, *at, Ok(*value), scope);
            // A single `max_connections` may be anybody's.
            if known > 1 || scope.sure.is_some() || self.names.within.is_some() {
                self.plain(key, *at, Ok(*value), scope);
            }
        }
    }

    fn constant(&mut self, name: &str, at: Node<'t>, value: Result<Node<'t>, &'static str>, scope: Scope<'t>) {
        if let Some(setting) = self.names.of_constant(name) {
            self.push(setting, name, Sure::Constant, at, value, scope);
        }
    }

    fn plain(&mut self, key: &str, at: Node<'t>, value: Result<Node<'t>, &'static str>, scope: Scope<'t>) {
        if let Ok(setting) = key.parse::<Setting>() {
            let sure = scope.sure.unwrap_or(Sure::Likely);
            self.push(setting, key, sure, at, value, scope);
        }
    }

    fn push(
        &mut self,
        setting: Setting,
        name: &str,
        sure: Sure,
        at: Node<'t>,
        value: Result<Node<'t>, &'static str>,
        scope: Scope<'t>,
    ) {
        if scope.inside && !value.is_ok_and(|value| self.refers(value, setting)) {
            let name = name.to_owned();
            self.found.push(Definition { setting, name, sure, at: at.start_byte(), value, container: scope.container });
        }
    }

    /// Whether a value is the same setting's other name, which then holds the value.
    fn refers(&self, value: Node<'_>, setting: Setting) -> bool {
        match value.kind() {
            "identifier" | "attribute" => {
                let last = self.text(value).rsplit('.').next().unwrap_or_default().trim();
                last == self.names.constant(setting)
            }
            "subscript" => {
                let key = value.child_by_field_name("subscript").and_then(|key| literal::text(key, self.source));
                key.is_some_and(|key| key == setting.name() || key == self.names.constant(setting))
            }
            _ => false,
        }
    }

    fn note_other_prefix(&mut self, name: &str) {
        let ending = Setting::all().find_map(|setting| {
            let prefix = name.strip_suffix(&setting.name().to_uppercase())?.strip_suffix('_')?;
            (prefix != self.names.prefix.to_string()).then(|| prefix.to_owned())
        });
        self.other_prefixes.extend(ending.filter(|prefix| !prefix.is_empty()));
    }
}
