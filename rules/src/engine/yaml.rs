//! A YAML document as a tree that still knows where every key and value stood, and how it was quoted.
//!
//! Built from the parser's events rather than from a ready-made document, because a rule file needs what those drop:
//! repeated keys, the quoting of a scalar (to find a character of an expression again in the file), and text as it was
//! written (`for: 5m`, `severity: 1`).

use std::rc::Rc;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

/// Deeper than any rule file; keeps a hostile one from exhausting the stack when the tree is dropped.
const DEEPEST: usize = 50;

/// A place in a file, 1-based, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
}

/// A mistake and where it is.
pub(super) type Mistake = (Place, String);

/// A scalar as it was written.
#[derive(Clone, Debug)]
pub(super) struct Text {
    pub(super) place: Place,
    pub(super) style: ScalarStyle,
    /// Its first character (the quote; in a block the first of its content), counted from the start of the file.
    pub(super) start: usize,
    pub(super) text: String,
}

/// A node with its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) data: Data,
}

/// What a node is.
#[derive(Clone, Debug)]
pub(super) enum Data {
    Null,
    Text(Text),
    List(Vec<Rc<Node>>),
    Map(Vec<(Text, Rc<Node>)>),
}

impl Data {
    /// What a person would call it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

/// Parses one document; `None` when there is none. Mistakes that leave a usable tree go to `mistakes`.
pub(super) fn parse(source: &str, mistakes: &mut Vec<Mistake>) -> Option<Rc<Node>> {
    let mut builder = Builder { mistakes, stack: Vec::new(), anchors: Vec::new(), root: None };
    let mut parser = Parser::new_from_str(source);
    while let Some(event) = parser.next_event() {
        let outcome = match event {
            Ok((event, span)) => builder.take(event, span),
            Err(e) => {
                let at = Place { line: e.marker().line().max(1), column: e.marker().col() + 1 };
                Err((within(source, at), e.info().to_owned()))
            }
        };
        if let Err(mistake) = outcome {
            builder.mistakes.push(mistake);
            return None;
        }
    }
    builder.root
}

/// `place`, or the end of `source` if it is beyond: at an end without a line break the parser names the line after.
fn within(source: &str, place: Place) -> Place {
    let breaks = source.matches("\r\n").count();
    let lines = source.matches(['\n', '\r']).count() - breaks + 1;
    let last = source.rsplit(['\n', '\r']).next().unwrap_or("");
    let end = Place { line: lines, column: last.chars().count() + 1 };
    if place.line > lines { end } else { place }
}

enum Frame {
    List { place: Place, anchor: usize, items: Vec<Rc<Node>> },
    Map { place: Place, anchor: usize, entries: Vec<(Text, Rc<Node>)>, key: Option<Text> },
}

struct Builder<'a> {
    mistakes: &'a mut Vec<Mistake>,
    stack: Vec<Frame>,
    anchors: Vec<(usize, Rc<Node>)>,
    root: Option<Rc<Node>>,
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Mistake> {
        let place = Place { line: span.start.line().max(1), column: span.start.col() + 1 };
        match event {
            Event::DocumentStart(_) if self.root.is_some() => {
                return Err((place, "a second YAML document; write one".to_owned()));
            }
            Event::Alias(id) => {
                let known = self.anchors.iter().rev().find(|(anchor, _)| *anchor == id).map(|(_, node)| node.clone());
                let node = known.ok_or((place, "this alias refers to itself".to_owned()))?;
                self.put(node)?;
            }
            Event::Scalar(text, style, anchor, _) => {
                let text = Text { place, style, start: span.start.index(), text: text.into_owned() };
                self.scalar(text, anchor)?;
            }
            Event::SequenceStart(anchor, _) => self.open(Frame::List { place, anchor, items: Vec::new() })?,
            Event::MappingStart(anchor, _) => {
                self.open(Frame::Map { place, anchor, entries: Vec::new(), key: None })?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close()?,
            _ => {}
        }
        Ok(())
    }

    fn scalar(&mut self, text: Text, anchor: usize) -> Result<(), Mistake> {
        if let Some(Frame::Map { key: key @ None, .. }) = self.stack.last_mut() {
            *key = Some(text);
            return Ok(());
        }
        let null = text.style == ScalarStyle::Plain && matches!(&*text.text, "" | "~" | "null" | "Null" | "NULL");
        let node = Node { place: text.place, data: if null { Data::Null } else { Data::Text(text) } };
        self.finish(node, anchor)
    }

    fn open(&mut self, frame: Frame) -> Result<(), Mistake> {
        let (Frame::List { place, .. } | Frame::Map { place, .. }) = &frame;
        if self.stack.len() >= DEEPEST {
            return Err((*place, format!("nested more than {DEEPEST} levels deep")));
        }
        if let Some(Frame::Map { key: None, .. }) = self.stack.last() {
            return Err((*place, "a key must be a plain word".to_owned()));
        }
        self.stack.push(frame);
        Ok(())
    }

    fn close(&mut self) -> Result<(), Mistake> {
        match self.stack.pop() {
            Some(Frame::List { place, anchor, items }) => self.finish(Node { place, data: Data::List(items) }, anchor),
            Some(Frame::Map { place, anchor, entries, .. }) => {
                let entries = merged(entries)?;
                self.finish(Node { place, data: Data::Map(entries) }, anchor)
            }
            None => Ok(()),
        }
    }

    fn finish(&mut self, node: Node, anchor: usize) -> Result<(), Mistake> {
        let node = Rc::new(node);
        if anchor > 0 {
            self.anchors.push((anchor, node.clone()));
        }
        self.put(node)
    }

    fn put(&mut self, node: Rc<Node>) -> Result<(), Mistake> {
        match self.stack.last_mut() {
            None => self.root = Some(node),
            Some(Frame::List { items, .. }) => items.push(node),
            Some(Frame::Map { entries, key, .. }) => {
                let Some(key) = key.take() else {
                    return Err((node.place, "a key must be a plain word".to_owned()));
                };
                if let Some((first, _)) = entries.iter().find(|(other, _)| other.text == key.text) {
                    let why = format!("{} is set twice; it already stands in line {}", key.text, first.place.line);
                    self.mistakes.push((key.place, why));
                } else {
                    entries.push((key, node));
                }
            }
        }
        Ok(())
    }
}

/// Resolves `<<: *anchor` as YAML 1.1 means it: keys that are there win over merged ones.
fn merged(mut entries: Vec<(Text, Rc<Node>)>) -> Result<Vec<(Text, Rc<Node>)>, Mistake> {
    let Some(at) = entries.iter().position(|(key, _)| key.text == "<<" && key.style == ScalarStyle::Plain) else {
        return Ok(entries);
    };
    let (key, node) = entries.remove(at);
    let sources = match &node.data {
        Data::List(items) => items.clone(),
        _ => vec![node],
    };
    for source in sources {
        let Data::Map(more) = &source.data else {
            return Err((key.place, "<< takes a mapping or a list of mappings".to_owned()));
        };
        for (name, value) in more {
            if entries.iter().all(|(other, _)| other.text != name.text) {
                entries.push((name.clone(), value.clone()));
            }
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn show(node: &Node) -> String {
        match &node.data {
            Data::Null => "null".to_owned(),
            Data::Text(text) => format!("{:?}@{}:{}", text.text, text.place.line, text.place.column),
            Data::List(items) => format!("[{}]", items.iter().map(|n| show(n)).collect::<Vec<_>>().join(", ")),
            Data::Map(entries) => {
                let entries: Vec<String> = entries.iter().map(|(k, n)| format!("{}: {}", k.text, show(n))).collect();
                format!("{{{}}}", entries.join(", "))
            }
        }
    }

    #[test]
    fn documents_become_trees_with_places() {
        for (why, source, expected) in [
            ("nothing", "", ""),
            ("a comment", "# hello\n", ""),
            ("keys and places", "a: 1\nb:\n  - x\n  - 'y'\n", r#"{a: "1"@1:4, b: ["x"@3:5, "y"@4:5]}"#),
            ("nulls", "a:\nb: ~\nc: null\nd: 'null'\n", r#"{a: null, b: null, c: null, d: "null"@4:4}"#),
            ("alias", "a: &x {k: v}\nb: *x\n", r#"{a: {k: "v"@1:11}, b: {k: "v"@1:11}}"#),
            (
                "merge",
                "a: &x {k: v, l: w}\nb:\n  <<: *x\n  k: u\n",
                r#"{a: {k: "v"@1:11, l: "w"@1:17}, b: {k: "u"@4:6, l: "w"@1:17}}"#,
            ),
            ("repeated key", "a: 1\na: 2\n", r#"{a: "1"@1:4} 2:1 a is set twice; it already stands in line 1"#),
            ("broken", "a: [1\nb: 2\n", " 2:2"),
            ("broken at an end without a line break", "a: {", " 1:5 "),
            ("two documents", "a: 1\n---\nb: 2\n", r#" 2:1 a second YAML document; write one"#),
            ("a mapping as key", "? {a: b}\n: c\n", " 1:3 a key must be a plain word"),
        ] {
            let mut mistakes = Vec::new();
            let mut shown = parse(source, &mut mistakes).map_or_else(String::new, |node| show(&node));
            for (place, message) in mistakes {
                shown += &format!(" {}:{} {message}", place.line, place.column);
            }
            let short = if why.starts_with("broken") { &shown[..expected.len().min(shown.len())] } else { &shown };
            assert_eq!(short, expected, "{why}: {shown}");
        }
    }

    #[test]
    fn nesting_and_aliases_are_bounded() {
        let mut mistakes = Vec::new();
        assert!(parse(&"[".repeat(10_000), &mut mistakes).is_none());
        assert!(mistakes[0].1.contains("recursion"), "{mistakes:?}");
        assert!(parse(&"- ".repeat(60), &mut mistakes).is_none());
        assert!(mistakes[1].1.contains("nested"), "{mistakes:?}");
        let mut laughs = "a0: &a0 [x, x]\n".to_owned();
        for n in 1..40 {
            laughs += &format!("a{n}: &a{n} [*a{m}, *a{m}]\n", m = n - 1);
        }
        assert!(parse(&laughs, &mut Vec::new()).is_some(), "aliases share, they do not copy");
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(source in "[-a-c:{}\\[\\]&*!|>'\"#%@ \n\t\\\\]{0,80}") {
            parse(&source, &mut Vec::new());
        }
    }
}
