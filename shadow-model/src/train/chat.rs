//! Conversations in the words of a model's chat template (Jinja, as transformers renders it), and which of the words the
//! assistant says.

use minijinja::{Environment, ErrorKind, Value, context};
use serde::{Deserialize, Serialize};

use crate::{Folder, ModelError, Result};

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// Who speaks: `system`, `user`, `assistant` or what else the template knows.
    pub role: String,
    /// What is said.
    pub content: String,
}

/// A chat template.
pub(super) struct Chat {
    environment: Environment<'static>,
    /// The special tokens that templates name.
    begin: String,
    end: String,
}

impl Chat {
    /// The template of a folder: `chat_template.jinja`, or `chat_template` of `tokenizer_config.json`; `None` where there is
    /// neither.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn open(folder: &Folder) -> Result<Option<Self>> {
        let settings = folder.settings("tokenizer_config.json")?;
        let get = |key: &str| settings.as_ref().and_then(|settings| settings.get(key));
        let path = folder.path().join("chat_template.jinja");
        let template = if path.exists() {
            Some(crate::folder::read_text(&path)?)
        } else {
            get("chat_template").and_then(|template| template.as_str()).map(str::to_owned)
        };
        let token = |key: &str| {
            let token = get(key).and_then(|token| token.as_str().or_else(|| token.get("content")?.as_str()));
            token.unwrap_or_default().to_owned()
        };
        template.map(|template| Self::new(template, token("bos_token"), token("eos_token"))).transpose()
    }

    fn new(template: String, begin: String, end: String) -> Result<Self> {
        let mut environment = Environment::new();
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        let refuse = |what: String| Err::<Value, _>(minijinja::Error::new(ErrorKind::InvalidOperation, what));
        environment.add_function("raise_exception", refuse);
        environment.add_template_owned("chat", template).map_err(|why| wrong(&why))?;
        Ok(Self { environment, begin, end })
    }

    /// A conversation in pieces, each with whether the assistant says it.
    ///
    /// An answer is what the template writes with it beyond what it writes to ask for it. Of an answer whose earlier turns
    /// the template writes otherwise later on (as some leave out what was thought), only the last is taken.
    ///
    /// # Errors
    /// Where the template refuses it, or writes the last answer in a way that cannot be told from what asks for it.
    pub fn pieces(&self, messages: &[Message]) -> Result<Vec<(String, bool)>> {
        let last = messages.iter().rposition(|message| message.role == "assistant");
        let Some(last) = last else {
            return Err(ModelError::Text("no message of the role assistant: there is nothing to learn".to_owned()));
        };
        let whole = self.render(&messages[..=last], false)?;
        let (mut pieces, mut done) = (Vec::new(), 0);
        for (at, _) in messages.iter().enumerate().filter(|&(at, message)| at <= last && message.role == "assistant") {
            let (asked, said) = (self.render(&messages[..at], true)?, self.render(&messages[..=at], false)?);
            let fits = whole.starts_with(&said) && said.starts_with(&asked) && asked.len() >= done;
            if fits {
                pieces.push((whole[done..asked.len()].to_owned(), false));
                pieces.push((said[asked.len()..].to_owned(), true));
                done = said.len();
            } else if at == last {
                let what = "the chat template does not write the last answer after what asks for it";
                return Err(ModelError::Text(what.to_owned()));
            }
        }
        Ok(pieces)
    }

    fn render(&self, messages: &[Message], ask: bool) -> Result<String> {
        let template = self.environment.get_template("chat").map_err(|why| wrong(&why))?;
        let values = context! {
            messages => messages,
            add_generation_prompt => ask,
            bos_token => self.begin,
            eos_token => self.end,
        };
        template.render(values).map_err(|why| wrong(&why))
    }
}

fn wrong(why: &minijinja::Error) -> ModelError {
    ModelError::Text(format!("chat template: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHATML: &str = "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m['content'].strip() }}<|im_end|>\n\
        {% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

    fn said(turns: &[(&str, &str)]) -> Vec<Message> {
        turns.iter().map(|&(role, content)| Message { role: role.to_owned(), content: content.to_owned() }).collect()
    }

    #[test]
    fn only_what_the_assistant_says_is_learnt() {
        let chat = Chat::new(CHATML.to_owned(), String::new(), String::new()).unwrap();
        let turns =
            said(&[("user", "Hi"), ("assistant", "Hello"), ("user", " 2+2? "), ("assistant", "4"), ("user", "?")]);
        let pieces = chat.pieces(&turns).unwrap();
        let pieces: Vec<_> = pieces.iter().map(|(text, learnt)| (text.as_str(), *learnt)).collect();
        let expected = [
            ("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", false),
            ("Hello<|im_end|>\n", true),
            ("<|im_start|>user\n2+2?<|im_end|>\n<|im_start|>assistant\n", false),
            ("4<|im_end|>\n", true),
        ];
        assert_eq!(pieces, expected);
        let error = chat.pieces(&turns[..1]).unwrap_err().to_string();
        assert_eq!(error, "text: no message of the role assistant: there is nothing to learn");
    }

    #[test]
    fn a_template_that_refuses_is_told() {
        let chat = Chat::new("{{ raise_exception('no such role') }}".to_owned(), String::new(), String::new()).unwrap();
        let error = chat.pieces(&said(&[("assistant", "x")])).unwrap_err().to_string();
        assert!(error.contains("chat template: ") && error.contains("no such role"), "{error}");
    }

    #[test]
    fn answers_that_are_rewritten_later_are_left_out() {
        let template = "{% for m in messages %}{{ m.role }}:{% if loop.last %}!{% endif %}{{ m.content }};{% endfor %}\
            {% if add_generation_prompt %}assistant:{% endif %}";
        let chat = Chat::new(template.to_owned(), String::new(), String::new()).unwrap();
        let error = chat.pieces(&said(&[("user", "a"), ("assistant", "b")])).unwrap_err().to_string();
        assert!(error.contains("does not write the last answer"), "{error}");
        let template = template.replace("loop.last", "loop.last and m.role == 'assistant'");
        let chat = Chat::new(template, String::new(), String::new()).unwrap();
        let turns = said(&[("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")]);
        let pieces = chat.pieces(&turns).unwrap();
        assert_eq!(pieces, [("user:a;assistant:b;user:c;assistant:".to_owned(), false), ("!d;".to_owned(), true)]);
    }
}
