use std::collections::BTreeMap;

use serde_json::Value;

/// A statement's plan (`EXPLAIN (VERBOSE, FORMAT JSON)`).
pub(super) struct Plan {
    nodes: Vec<String>,
    /// The tables that it reads: schema and name, by their name in the statement.
    tables: BTreeMap<String, (String, String)>,
    /// Every other text in it: conditions, output.
    texts: Vec<String>,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) schema: String,
    pub(super) table: String,
    pub(super) name: String,
}

impl Plan {
    pub(super) fn read(json: &str) -> Option<Self> {
        let mut plan = Self { nodes: Vec::new(), tables: BTreeMap::new(), texts: Vec::new() };
        plan.walk(&serde_json::from_str(json).ok()?);
        Some(plan)
    }

    fn walk(&mut self, value: &Value) {
        match value {
            Value::Array(values) => values.iter().for_each(|value| self.walk(value)),
            Value::Object(map) => {
                let text = |key: &str| map.get(key).and_then(Value::as_str).map(str::to_owned);
                self.nodes.extend(text("Node Type"));
                if let (Some(schema), Some(table), Some(alias)) = (text("Schema"), text("Relation Name"), text("Alias"))
                {
                    self.tables.insert(alias, (schema, table));
                }
                map.values().for_each(|value| self.walk(value));
            }
            Value::String(text) => self.texts.push(text.clone()),
            _ => {}
        }
    }

    pub(super) fn has_node(&self, name: &str) -> bool {
        self.nodes.iter().any(|node| node == name)
    }

    /// Whether it reads tables, and all of them are the system's own.
    pub(super) fn reads_only_catalogs(&self) -> bool {
        let is_catalog = |schema: &str| matches!(schema, "pg_catalog" | "information_schema");
        !self.tables.is_empty() && self.tables.values().all(|(schema, _)| is_catalog(schema))
    }

    pub(super) fn text(&self) -> String {
        self.texts.join("\n")
    }

    /// The column that the value `$number` is compared with, where a condition says so plainly.
    pub(super) fn compared(&self, number: usize) -> Option<Column> {
        // Older servers show the results of subqueries by numbers of their own, also with a `$`.
        if self.texts.iter().any(|text| text.contains("(returns $")) {
            return None;
        }
        let value = format!("${number}");
        self.texts.iter().find_map(|text| {
            let before = text.match_indices(&value).find_map(|(at, _)| {
                let after = &text[at + value.len()..];
                (!after.starts_with(|c: char| c.is_ascii_digit())).then(|| &text[..at])
            })?;
            self.left_of_operator(before)
        })
    }

    /// The column in `(alias.column OPERATOR `, `((alias.column)::type OPERATOR ` or `(alias.column OPERATOR ANY (`.
    fn left_of_operator(&self, before: &str) -> Option<Column> {
        let before = before.trim_end_matches('(').trim_end();
        let before = before.strip_suffix("ANY").unwrap_or(before).trim_end();
        let left = before.trim_end_matches(|c: char| "<>=~!@#%^&|*".contains(c));
        if left.len() == before.len() {
            return None;
        }
        let left = left.trim_end();
        let left = match left.rsplit_once(")::") {
            Some((inner, kind)) if kind.chars().all(|c| c.is_ascii_alphabetic() || c == ' ') => inner,
            _ => left,
        };
        let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '$' | '"');
        let name = left.rsplit(|c: char| !is_name(c)).next()?;
        let (alias, column) = name.rsplit_once('.')?;
        let plain = |name: &str| name.trim_matches('"').to_owned();
        let (schema, table) = self.tables.get(&plain(alias))?;
        Some(Column { schema: schema.clone(), table: table.clone(), name: plain(column) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(condition: &str) -> Plan {
        let json = serde_json::json!([{"Plan": {"Node Type": "Limit", "Plans": [{
            "Node Type": "Index Scan", "Schema": "shop", "Relation Name": "item", "Alias": "i", "Index Cond": condition,
        }]}}]);
        Plan::read(&json.to_string()).unwrap()
    }

    #[test]
    fn a_value_is_traced_to_the_column_that_it_is_compared_with() {
        for (condition, number, name) in [
            ("(i.id = $1)", 1, Some("id")),
            ("((i.id >= $1) AND (i.id <= $12))", 12, Some("id")),
            ("((i.id >= $1) AND (i.hits <= $12))", 1, Some("id")),
            ("((i.name)::text = $1)", 1, Some("name")),
            ("((i.name)::text = ($1)::text)", 1, Some("name")),
            ("(i.\"Id\" = ANY ($2))", 2, Some("Id")),
            ("((i.hits + 1) = $1)", 1, None),
            ("(j.id = $1)", 1, None),
            ("(i.id = $12)", 1, None),
            ("(lower(i.name) = $1)", 1, None),
        ] {
            let column = plan(condition).compared(number);
            assert_eq!(column.as_ref().map(|column| column.name.as_str()), name, "{condition}");
        }
    }

    #[test]
    fn nodes_are_seen_at_any_depth() {
        let plan = plan("");
        assert!(plan.has_node("Index Scan") && !plan.has_node("LockRows") && !plan.reads_only_catalogs());
    }
}
