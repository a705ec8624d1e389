//! Our own Markdown as HTML, so that the page and `summary.md` say the same in the same words.
//!
//! It knows what the sections of the summary are made of and nothing more: paragraphs, `###` headings, lists, tables,
//! fenced code, bold, code and escapes. All else is text, and is escaped.

use super::html;

/// A section of the summary as HTML. `markdown` has to come from this room: its text is escaped there for Markdown.
pub(super) fn html(markdown: &str) -> String {
    let mut page = String::new();
    let mut lines = markdown.lines().peekable();
    while let Some(line) = lines.next() {
        if line.is_empty() {
            continue;
        }
        if line.starts_with("```") {
            let code: Vec<String> =
                lines.by_ref().take_while(|line| !line.starts_with("```")).map(html::text).collect();
            page.push_str(&html::wide(&format!("<pre><code>{}</code></pre>", code.join("\n"))));
        } else if let Some(heading) = line.strip_prefix("### ") {
            page.push_str(&format!("<h3>{}</h3>\n", inline(heading)));
        } else if line.starts_with("- ") {
            let mut items = vec![line];
            while let Some(item) = lines.next_if(|line| line.starts_with("- ")) {
                items.push(item);
            }
            let items = items.iter().map(|item| format!("<li>{}</li>\n", inline(item.get(2..).unwrap_or_default())));
            page.push_str(&format!("<ul>\n{}</ul>\n", html::all(items)));
        } else if line.starts_with('|') {
            let mut rows = vec![line];
            while let Some(row) = lines.next_if(|line| line.starts_with('|')) {
                rows.push(row);
            }
            page.push_str(&table(&rows));
        } else {
            let mut paragraph = line.to_owned();
            while let Some(more) = lines.next_if(|line| !line.is_empty()) {
                paragraph.extend([" ", more]);
            }
            page.push_str(&format!("<p>{}</p>\n", inline(&paragraph)));
        }
    }
    page
}

fn table(rows: &[&str]) -> String {
    let Some((head, [rule, body @ ..])) = rows.split_first() else { return String::new() };
    let to_the_right: Vec<bool> = cells(rule).iter().map(|cell| cell.ends_with(':')).collect();
    let body_cells: Vec<Vec<String>> = body.iter().map(|line| cells(line)).collect();
    // Bars of block characters are for plain text; here a chart stands in their place.
    let is_bar = |column: usize| {
        let mut cells = body_cells.iter().filter_map(|row| row.get(column)).peekable();
        cells.peek().is_some() && cells.all(|cell| cell.chars().all(|block| ('▀'..='▟').contains(&block)))
    };
    let row = |cells: Vec<String>, header: bool| {
        let cells = cells.into_iter().enumerate().filter(|(column, _)| !is_bar(*column)).map(|(column, cell)| {
            let is_figure = to_the_right.get(column).copied().unwrap_or_default();
            let class = html::class(is_figure, if header { "" } else { &cell });
            match (header, column) {
                (true, _) => format!("<th scope=\"col\"{class}>{}</th>", inline(&cell)),
                (false, 0) => format!("<th scope=\"row\"{class}>{}</th>", inline(&cell)),
                (false, _) => format!("<td{class}>{}</td>", inline(&cell)),
            }
        });
        format!("<tr>{}</tr>\n", html::all(cells))
    };
    let body = html::all(body_cells.iter().map(|cells| row(cells.clone(), false)));
    html::wide(&format!("<table><thead>{}</thead>\n<tbody>\n{body}</tbody></table>", row(cells(head), true)))
}

/// The cells of a row, split at bars that are not escaped.
fn cells(line: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut escaped = false;
    for character in line.trim().trim_start_matches('|').chars() {
        if character == '|' && !escaped {
            cells.push(String::new());
        } else if let Some(cell) = cells.last_mut() {
            cell.push(character);
        }
        escaped = character == '\\' && !escaped;
    }
    // A row ends with a bar, behind which there is no cell.
    cells.pop();
    cells.iter().map(|cell| cell.trim().to_owned()).collect()
}

/// Text with bold and code.
fn inline(markdown: &str) -> String {
    let mut out = String::new();
    let mut plain = String::new();
    let (mut bold, mut code) = (false, false);
    let mut characters = markdown.chars().peekable();
    let flush = |out: &mut String, plain: &mut String| out.push_str(&html::text(&std::mem::take(plain)));
    while let Some(character) = characters.next() {
        match character {
            '\\' if characters.peek().is_some_and(char::is_ascii_punctuation) => plain.extend(characters.next()),
            '`' => {
                flush(&mut out, &mut plain);
                out.push_str(if code { "</code>" } else { "<code>" });
                code = !code;
            }
            '*' if characters.next_if_eq(&'*').is_some() => {
                flush(&mut out, &mut plain);
                out.push_str(if bold { "</strong>" } else { "<strong>" });
                bold = !bold;
            }
            _ => plain.push(character),
        }
    }
    flush(&mut out, &mut plain);
    // What was left open would make the rest of the page bold.
    out.extend([(code, "</code>"), (bold, "</strong>")].iter().filter(|(open, _)| *open).map(|(_, end)| *end));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::markdown;

    #[test]
    fn what_markdown_escapes_comes_back_as_text() {
        for hostile in ["a|b`c*d*<script>alert(1)</script>\\", "[x](y) **z** ~~ & \"q\"", "|", "```", "- \\| -"] {
            let table = markdown::table(
                &[("name", markdown::Align::Left), ("n", markdown::Align::Right)],
                &[vec![markdown::text(hostile), "1".to_owned()]],
            );
            let page = html(&table);
            assert!(page.contains(&format!("<th scope=\"row\">{}</th>", html::text(hostile))), "{hostile}: {page}");
            assert_eq!(page.matches("<td").count(), 1, "{hostile}: {page}");
        }
    }

    #[test]
    fn sections_become_html() {
        let text = "One **bold**\nline.\n\n### Head\n\n- a\n- b\n\n```sh\nrun <x> \\\n```\n";
        insta::assert_snapshot!(html(text), @r#"
        <p>One <strong>bold</strong> line.</p>
        <h3>Head</h3>
        <ul>
        <li>a</li>
        <li>b</li>
        </ul>
        <div class="wide" tabindex="0"><pre><code>run &lt;x&gt; \</code></pre></div>
        "#);
    }
}
