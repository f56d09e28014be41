//! What a message says to people: templates in English and Chinese, or the configuration's own.

mod cut;
mod data;
mod threshold;
mod words;

use std::fmt;
use std::sync::Arc;

use gotmpl::Template;

pub(crate) use cut::{Measure, cut, share};
use data::Data;
use words::words;

use crate::SinkError;
use crate::chat::Message;

/// Which language the built-in texts are in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lang {
    /// English.
    #[default]
    En,
    /// Simplified Chinese.
    Zh,
}

/// Where texts come from: built in, unless the configuration has its own. Own texts are Go templates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextSource {
    /// Language of the built-in texts.
    pub lang: Lang,
    /// One line over the message.
    pub title: Option<String>,
    /// What is said about one alert, in Markdown.
    pub alert: Option<String>,
    /// One alert in a digest.
    pub line: Option<String>,
}

/// How a service marks text up, as far as it matters to what stands in labels and annotations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavour {
    /// Text is shown as it is.
    Plain,
    /// `<...>` would be a tag or a mention: `&`, `<` and `>` are written as entities.
    Tags,
    /// `<...>` would be a tag and there are no entities: full-width brackets instead.
    WideTags,
}

impl Flavour {
    /// `text` so that nothing in it is taken for markup that calls people or hides text.
    pub(crate) fn escape(self, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Tags => text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"),
            Self::WideTags => text.replace('<', "＜").replace('>', "＞"),
        }
    }
}

/// What `{{range}}` may go round in one text.
const MOST_ROUNDS: u64 = 10_000;
/// The most bytes that one text may have before it is cut to what the service takes.
const MOST_BYTES: usize = 256 << 10;

/// Parsed texts of one sink.
#[derive(Clone)]
pub(crate) struct Texts {
    source: TextSource,
    parsed: Arc<Parsed>,
}

struct Parsed {
    own: Template,
    built_in: Template,
}

impl PartialEq for Texts {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Texts {}

impl fmt::Debug for Texts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl Texts {
    /// Parses every text.
    ///
    /// # Errors
    /// [`SinkError::Template`] for the first one that is no template, or that fails on a made-up alert.
    pub(crate) fn new(source: TextSource) -> Result<Self, SinkError> {
        let words = words(source.lang);
        let built_in = set([("title", words.title), ("alert", words.alert), ("line", words.line)])?;
        let or = |own: &Option<String>, built_in: &'static str| own.clone().unwrap_or_else(|| built_in.to_owned());
        let (title, alert, line) =
            (or(&source.title, words.title), or(&source.alert, words.alert), or(&source.line, words.line));
        let own = set([("title", &*title), ("alert", &*alert), ("line", &*line)])?;
        let texts = Self { source, parsed: Arc::new(Parsed { own, built_in }) };
        texts.try_out()?;
        Ok(texts)
    }

    /// What marks a text that was cut.
    pub(crate) fn cut_mark(&self) -> &'static str {
        words(self.source.lang).cut
    }

    /// The title, on one line.
    pub(crate) fn title(&self, message: &Message<'_>, flavour: Flavour) -> String {
        let title = self.say("title", &self.data(flavour).message(message));
        title.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// A text per alert; one line each in a digest.
    pub(crate) fn alerts(&self, message: &Message<'_>, flavour: Flavour) -> Vec<String> {
        let name = if message.is_digest() { "line" } else { "alert" };
        let data = self.data(flavour);
        message.alerts.iter().map(|alert| self.say(name, &data.alert(message, alert))).collect()
    }

    fn data(&self, flavour: Flavour) -> Data {
        Data { lang: self.source.lang, flavour }
    }

    /// Never fails: an alert in built-in words is better than none.
    fn say(&self, name: &str, data: &gotmpl::Value) -> String {
        let own = self.parsed.own.execute_template_to_string(name, data).map_err(|why| why.to_string());
        let said = own.or_else(|why| {
            let text = self.parsed.built_in.execute_template_to_string(name, data).map_err(|e| e.to_string())?;
            tracing::warn!(template = name, why, "a template fails on an alert; told in built-in words");
            Ok::<String, String>(text)
        });
        let text = said.unwrap_or_else(|why| format!("({why})"));
        cut(text.trim(), MOST_BYTES, Measure::Bytes, self.cut_mark())
    }

    /// Fills every text in once, so that a misspelt function is found when the configuration is checked.
    fn try_out(&self) -> Result<(), SinkError> {
        let alert = Message::example_alert();
        let alerts = [&alert];
        let message = Message::example(&alerts);
        let data = self.data(Flavour::Plain);
        for (name, data) in [
            ("title", data.message(&message)),
            ("alert", data.alert(&message, &alert)),
            ("line", data.alert(&message, &alert)),
        ] {
            let said = self.parsed.own.execute_template_to_string(name, &data);
            said.map_err(|why| SinkError::Template { name: name.into(), why: why.to_string() })?;
        }
        Ok(())
    }
}

/// Parses three texts into one set.
fn set(texts: [(&str, &str); 3]) -> Result<Template, SinkError> {
    let mut set = Template::new("").max_range_iters(MOST_ROUNDS).funcs(plimsoll_rules::text_functions());
    for (name, text) in texts {
        let wrong = |why: gotmpl::TemplateError| SinkError::Template { name: name.into(), why: why.to_string() };
        let tree = gotmpl::parse::Parser::new(text, "{{", "}}").and_then(gotmpl::parse::Parser::parse);
        let (tree, defines) = tree.map_err(wrong)?;
        set = set.add_parse_tree(name, tree);
        for define in defines {
            set = set.add_parse_tree(&define.name, define.body);
        }
    }
    Ok(set)
}

#[cfg(test)]
mod tests;
