//! The several tables of one file: bytes to text, text to sections, lines to rows.

/// Lines that one quoted field may run over.
const FIELD_LINES_MAX: usize = 200;

/// One table of the file.
#[derive(Debug)]
pub(super) struct Section {
    /// Its name as written, without the `##`.
    pub(super) name: String,
    /// The rows after the header.
    pub(super) rows: Vec<Row>,
    columns: Vec<Column>,
}

/// One row: its values, or why it cannot be read.
#[derive(Debug)]
pub(super) struct Row {
    /// 1-based line at which it begins.
    pub(super) line: u64,
    pub(super) fields: Result<Vec<String>, String>,
}

/// `Odo (km)` has the key `odo` and the unit `km`; `City (optional)` the key `city` and no unit.
#[derive(Debug)]
struct Column {
    name: String,
    key: String,
    unit: Option<String>,
}

/// A row's values by the keys of its columns.
pub(super) struct Fields<'a> {
    columns: &'a [Column],
    values: &'a [String],
}

impl Column {
    fn named(name: &str) -> Self {
        let name = name.trim();
        let lower = name.to_lowercase();
        let (key, unit) = match lower.split_once('(') {
            Some((key, rest)) => {
                (key.trim().to_string(), Some(rest.trim_end_matches(')').trim().to_string()))
            }
            None => (lower, None),
        };
        Self { name: name.to_string(), key, unit: unit.filter(|unit| unit != "optional") }
    }
}

impl Section {
    pub(super) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The unit in the name of a column.
    pub(super) fn unit(&self, key: &str) -> Option<String> {
        self.columns.iter().find(|column| column.key == key)?.unit.clone()
    }

    pub(super) fn fields<'a>(&'a self, values: &'a [String]) -> Fields<'a> {
        Fields { columns: &self.columns, values }
    }

    pub(super) fn readable(&self) -> impl Iterator<Item = Fields<'_>> {
        self.rows.iter().filter_map(|row| Some(self.fields(row.fields.as_deref().ok()?)))
    }

    pub(super) fn first(&self) -> Option<Fields<'_>> {
        self.readable().next()
    }
}

impl<'a> Fields<'a> {
    /// The trimmed text of a column; `None` where it is empty or the table has no such column.
    pub(super) fn get(&self, key: &str) -> Option<&'a str> {
        let at = self.columns.iter().position(|column| column.key == key)?;
        Some(self.values.get(at)?.trim()).filter(|text| !text.is_empty())
    }

    /// Key, name and text of every column that is not empty.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'a String, &'a str, &'a str)> {
        let pairs = self.columns.iter().zip(self.values);
        pairs
            .map(|(column, text)| (&column.key, column.name.as_str(), text.trim()))
            .filter(|(_, name, text)| !name.is_empty() && !text.is_empty())
    }
}

/// The file as text: UTF-8 with or without a byte order mark, else Windows-1252 (which includes
/// Latin-1), what spreadsheets on older systems write.
pub(super) fn decode(bytes: &[u8]) -> String {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_string(),
        Err(_) => bytes.iter().map(|byte| windows_1252(*byte)).collect(),
    }
}

fn windows_1252(byte: u8) -> char {
    const FROM_80_TO_9F: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž',
        '\u{8f}', '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}',
        'ž', 'Ÿ',
    ];
    match byte {
        0x80..=0x9f => FROM_80_TO_9F.get(usize::from(byte - 0x80)).copied().unwrap_or('\u{fffd}'),
        _ => char::from(byte),
    }
}

/// Splits a file into its tables. What stands before the first one belongs to none.
pub(super) fn split(text: &str) -> Vec<Section> {
    let lines: Vec<&str> = text.lines().collect();
    let separator = separator(&lines);
    let mut sections: Vec<Section> = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at];
        if line.trim().is_empty() {
            at += 1;
        } else if let Some(name) = section_name(line, separator) {
            sections.push(Section { name, rows: Vec::new(), columns: Vec::new() });
            at += 1;
        } else {
            let width = sections.last().map_or(0, |section| section.columns.len());
            let (fields, taken) = record(&lines[at..], separator, width);
            if let Some(section) = sections.last_mut() {
                match fields {
                    Ok(header) if section.columns.is_empty() => {
                        section.columns = header.iter().map(|name| Column::named(name)).collect();
                    }
                    fields => section.rows.push(Row { line: at as u64 + 1, fields }),
                }
            }
            at += taken;
        }
    }
    sections
}

/// The sign between fields: of the candidates the one most frequent in the first header.
fn separator(lines: &[&str]) -> u8 {
    let header = lines
        .iter()
        .skip_while(|line| !line.trim_start_matches(['"', ' ']).starts_with("##"))
        .find(|line| !line.trim().is_empty() && !line.contains("##"));
    let count =
        |sign: u8| header.map_or(0, |line| line.bytes().filter(|byte| *byte == sign).count());
    [b',', b';', b'\t'].into_iter().rev().max_by_key(|sign| count(*sign)).unwrap_or(b',')
}

/// The name in `"## Log"`, also unquoted or with empty fields after it.
fn section_name(line: &str, separator: u8) -> Option<String> {
    let bare = line.trim().trim_end_matches(char::from(separator)).trim().trim_matches('"').trim();
    let name = bare.strip_prefix("##")?.trim();
    (!name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == ' '))
        .then(|| name.to_string())
}

/// The record that begins at the first line, and how many lines it takes.
///
/// A quoted field may run over several lines, so a quote that is never closed would swallow the
/// rest of the file. A record over several lines is believed only when it then has exactly the
/// columns of its table and none of the lines in it is a row or a section by itself; otherwise its
/// first line alone is to blame, and reading goes on with the second.
fn record(lines: &[&str], separator: u8, width: usize) -> (Result<Vec<String>, String>, usize) {
    let Some(first) = lines.first() else {
        return (Err("nothing".into()), 1);
    };
    let mut text = (*first).to_string();
    let mut taken = 1;
    let mut open = unclosed(first);
    while open && taken < FIELD_LINES_MAX {
        let Some(next) = lines.get(taken) else { break };
        let whole_row = !unclosed(next) && width > 1 && parse(next, separator).len() == width;
        if whole_row || section_name(next, separator).is_some() {
            break;
        }
        text.push('\n');
        text.push_str(next);
        open ^= unclosed(next);
        taken += 1;
    }
    if open {
        return (Err("a quote is opened and never closed".into()), 1);
    }
    let mut fields = parse(&text, separator);
    if width == 0 {
        return (Ok(fields), taken);
    }
    while fields.len() > width && fields.last().is_some_and(|field| field.trim().is_empty()) {
        fields.pop();
    }
    if taken > 1 && fields.len() != width {
        return (Err("a quote is opened and never closed".into()), 1);
    }
    if fields.len() > width {
        let message = format!("{} fields where the table has {width} columns", fields.len());
        return (Err(message), taken);
    }
    (Ok(fields), taken)
}

/// Whether a line ends within a quoted field that it began (or ends one that it did not begin).
fn unclosed(line: &str) -> bool {
    line.bytes().filter(|byte| *byte == b'"').count() % 2 == 1
}

fn parse(record: &str, separator: u8) -> Vec<String> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(separator)
        .from_reader(record.as_bytes());
    let fields = reader.records().next().and_then(Result::ok);
    fields.map_or_else(Vec::new, |fields| fields.iter().map(str::to_string).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Vec<(u64, Result<Vec<String>, String>)> {
        let sections = split(text);
        let rows = sections.into_iter().flat_map(|section| section.rows);
        rows.map(|row| (row.line, row.fields)).collect()
    }

    #[test]
    fn a_note_over_two_lines_is_one_row() {
        let rows =
            rows("\"## Log\"\n\"a\",\"b\"\n\"1\",\"two\nlines, \"\"quoted\"\"\"\n\n\"3\",\"4\"\n");
        assert_eq!(rows[0], (3, Ok(vec!["1".into(), "two\nlines, \"quoted\"".into()])));
        assert_eq!(rows[1], (6, Ok(vec!["3".into(), "4".into()])));
    }

    #[test]
    fn an_unclosed_quote_spoils_its_own_row_alone() {
        let text = "## Log\na,b,c\n\"1\",\"2,3\n\"4\",\"5\",\"6\"\n\"7\",\"x\ny\",\"8\"\n";
        let rows = rows(text);
        let good: Vec<u64> =
            rows.iter().filter(|(_, row)| row.is_ok()).map(|(line, _)| *line).collect();
        assert_eq!(good, [4, 5]);
        assert!(rows[0].1.is_err());
    }

    #[test]
    fn semicolons_and_padding_are_read() {
        let sections = split("\"## Log\";;\r\n\"Odo (km)\";\"Note\";\r\n\"1,5\";\"a\";\r\n");
        assert_eq!(sections[0].unit("odo").as_deref(), Some("km"));
        let fields = sections[0].first().unwrap();
        assert_eq!((fields.get("odo"), fields.get("note")), (Some("1,5"), Some("a")));
    }

    #[test]
    fn bytes_that_are_not_utf8_are_windows_1252() {
        assert_eq!(decode(b"K\xf6ln \x80"), "Köln €");
        assert_eq!(decode("\u{feff}Köln".as_bytes()), "Köln");
    }
}
