//! Finding the text of every interface's requests and answers, cut anywhere, broken anyhow.

use plimsoll_rules::mask::{MaskOptions, Masker};
use plimsoll_rules::{Endpoint, MaskedText};
use proptest::prelude::*;

use super::walk::Walk;
use super::{Place, Said, prompt};

const MOST: usize = 100;

fn masker() -> Masker {
    Masker::new(b"salt of the tests", &MaskOptions::default()).unwrap()
}

fn asked(endpoint: Endpoint, body: &str) -> Option<(String, bool)> {
    prompt(endpoint, body.as_bytes(), b"", MOST)
}

/// What `documents` answer, a piece of `size` bytes at a time.
fn answered(documents: &[&str], size: usize) -> Option<(String, bool)> {
    let mut walk = Walk::new(Place::Answer, MOST);
    for document in documents {
        document.as_bytes().chunks(size).for_each(|piece| walk.push(piece));
        walk.end_document();
    }
    walk.finish()
}

fn whole(text: &str) -> Option<(String, bool)> {
    Some((text.to_owned(), false))
}

#[test]
fn prompts() {
    use Endpoint::{Chat, Completions, Embeddings, OllamaChat, OllamaGenerate, Responses};
    let cases = [
        ("a question", Chat, r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#, whole("hi")),
        (
            "the last question of several",
            Chat,
            r#"{"messages":[{"role":"system","content":"be kind"},{"role":"user","content":"one"},{"role":"assistant","content":"two"},{"role":"user","content":"three"}]}"#,
            whole("three"),
        ),
        (
            "an answer and tools after it",
            Chat,
            r#"{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":null,"tool_calls":[{"function":{"arguments":"{\"role\":\"user\"}"}}]},{"role":"tool","content":"42"}]}"#,
            whole("q"),
        ),
        ("role behind content", Chat, r#"{"messages":[{"content":"q","role":"user"}]}"#, whole("q")),
        ("nobody asks", Chat, r#"{"messages":[{"role":"system","content":"x"}]}"#, None),
        ("a message of no role", Chat, r#"{"messages":[{"content":"x"}]}"#, None),
        (
            "parts, the picture left out",
            Chat,
            r#"{"messages":[{"role":"user","content":[{"type":"text","text":"what is"},{"type":"image_url","image_url":{"url":"data:image/png;base64,text"}},{"type":"text","text":"this?"}]}]}"#,
            whole("what is\nthis?"),
        ),
        (
            "a part whose type comes late",
            Chat,
            r#"{"messages":[{"role":"user","content":[{"text":"no","type":"thinking"},{"text":"yes","type":"text"}]}]}"#,
            whole("yes"),
        ),
        ("pictures only", Chat, r#"{"messages":[{"role":"user","content":[{"type":"image_url"}]}]}"#, None),
        ("an empty question", Chat, r#"{"messages":[{"role":"user","content":""}]}"#, whole("")),
        (
            "text elsewhere",
            Chat,
            r#"{"prompt":"x","input":"y","metadata":{"messages":[{"role":"user","content":"z"}]}}"#,
            None,
        ),
        ("a completion", Completions, r#"{"prompt":"once upon","suffix":"end"}"#, whole("once upon")),
        ("several", Completions, r#"{"prompt":["a","b"]}"#, whole("a\nb")),
        ("tokens", Completions, r#"{"prompt":[1,2,3]}"#, None),
        ("lists of tokens", Completions, r#"{"prompt":[[1,2],[3]]}"#, None),
        ("embeddings", Embeddings, r#"{"input":"a text"}"#, whole("a text")),
        ("several embeddings", Embeddings, r#"{"input":["a","b","c"]}"#, whole("a\nb\nc")),
        ("embeddings of tokens", Embeddings, r#"{"input":[[1,2]]}"#, None),
        ("Responses, a text", Responses, r#"{"input":"hello","instructions":"no"}"#, whole("hello")),
        (
            "Responses, items",
            Responses,
            r#"{"input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"one"},{"type":"input_image"},{"type":"input_text","text":"two"}]},{"type":"function_call_output","output":"x"}]}"#,
            whole("one\ntwo"),
        ),
        (
            "Ollama's chat",
            OllamaChat,
            r#"{"messages":[{"role":"user","content":"hey","images":["aGk="]}]}"#,
            whole("hey"),
        ),
        ("Ollama's prompt", OllamaGenerate, r#"{"prompt":"why?","system":"s"}"#, whole("why?")),
        (
            "escapes",
            OllamaGenerate,
            r#"{"prompt":"\"\\\/\n\t\r\b\f\u00e9\ud83d\ude00\u4e2d"}"#,
            whole("\"\\/\n\t\r\u{8}\u{c}é😀中"),
        ),
        (
            "halves of pairs",
            OllamaGenerate,
            r#"{"prompt":"\ud83dx\ude00\ud83d\ud83d\ude00\uzz"}"#,
            whole("\u{fffd}x\u{fffd}\u{fffd}😀\u{fffd}z"),
        ),
        ("not JSON", Chat, "<html>", None),
        ("nothing", Chat, "", None),
        ("a list", Chat, r#"[{"messages":[]}]"#, None),
        ("broken in the middle", Chat, r#"{"messages":[{"role":"user","content":"so fa"#, Some(("so fa".into(), true))),
        ("broken behind it", Chat, r#"{"messages":[{"role":"user","content":"so far"},{"ro"#, whole("so far")),
        ("broken before the role", Chat, r#"{"messages":[{"content":"so far"#, None),
    ];
    for (why, endpoint, body, expected) in cases {
        assert_eq!(asked(endpoint, body), expected, "{why}");
    }
}

#[test]
fn answers() {
    let cases: &[(&str, &[&str], Option<&str>)] = &[
        ("chat", &[r#"{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"hi"}}]}"#], Some("hi")),
        (
            "the first of two choices",
            &[r#"{"choices":[{"index":0,"message":{"content":"a"}},{"message":{"content":"b"},"index":1}]}"#],
            Some("a"),
        ),
        ("a refusal", &[r#"{"choices":[{"message":{"content":null,"refusal":"I cannot"}}]}"#], Some("I cannot")),
        (
            "a tool call",
            &[
                r#"{"choices":[{"message":{"content":null,"tool_calls":[{"function":{"name":"f","arguments":"text"}}]}}]}"#,
            ],
            None,
        ),
        (
            "thoughts are no answer",
            &[r#"{"choices":[{"message":{"reasoning_content":"hm","content":"so"}}]}"#],
            Some("so"),
        ),
        (
            "parts",
            &[
                r#"{"choices":[{"message":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"no"}]},{"type":"text","text":"yes"}]}}]}"#,
            ],
            Some("yes"),
        ),
        ("a completion", &[r#"{"choices":[{"text":" a time","index":0},{"text":"b","index":1}]}"#], Some(" a time")),
        (
            "deltas",
            &[
                r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#,
                r#"{"choices":[{"index":0,"delta":{"content":"Gr\u00fc"}}]}"#,
                r#"{"choices":[{"index":0,"delta":{"content":"ße"}}]}"#,
                r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
                r#"{"choices":[],"usage":{"prompt_tokens":1}}"#,
                "[DONE]",
            ],
            Some("Grüße"),
        ),
        (
            "deltas of two choices",
            &[
                r#"{"choices":[{"index":1,"delta":{"content":"B"}}]}"#,
                r#"{"choices":[{"index":0,"delta":{"content":"a"}}]}"#,
                r#"{"choices":[{"delta":{"content":"B"},"index":1}]}"#,
                r#"{"choices":[{"delta":{"content":"a"},"index":0}]}"#,
            ],
            Some("aa"),
        ),
        ("an empty answer", &[r#"{"choices":[{"delta":{"content":""}}]}"#], Some("")),
        (
            "Responses",
            &[
                r#"{"object":"response","output":[{"type":"reasoning","content":[{"type":"reasoning_text","text":"hm"}]},{"type":"message","content":[{"type":"output_text","text":"one","annotations":[]},{"type":"output_text","text":"two"}]},{"type":"function_call","arguments":"{}"}]}"#,
            ],
            Some("one\ntwo"),
        ),
        (
            "events of Responses, the type first or last",
            &[
                r#"{"type":"response.created","response":{"output":[]}}"#,
                r#"{"type":"response.reasoning_text.delta","delta":"hm"}"#,
                r#"{"type":"response.output_text.delta","delta":"H"}"#,
                r#"{"delta":"i","type":"response.output_text.delta"}"#,
                r#"{"delta":"{}","type":"response.function_call_arguments.delta"}"#,
                r#"{"type":"response.output_text.done","text":"Hi"}"#,
                r#"{"type":"response.refusal.delta","delta":"!"}"#,
                r#"{"type":"response.completed","response":{"output":[{"type":"message","content":[{"type":"output_text","text":"Hi"}]}]}}"#,
            ],
            Some("Hi!"),
        ),
        ("an untyped delta", &[r#"{"delta":"x"}"#], None),
        (
            "Ollama's chat",
            &[
                r#"{"message":{"role":"assistant","content":"He","thinking":"hm"},"done":false}"#,
                r#"{"message":{"role":"assistant","content":"y"},"done":false}"#,
                r#"{"message":{"role":"assistant","content":""},"done":true}"#,
            ],
            Some("Hey"),
        ),
        ("Ollama's generate", &[r#"{"response":"a"}"#, r#"{"response":"b","done":true,"context":[1,2]}"#], Some("ab")),
        ("embeddings", &[r#"{"data":[{"embedding":[0.1],"text":"x"}]}"#], None),
        ("an error", &[r#"{"error":{"message":"content"},"message":"text"}"#], None),
    ];
    for (why, documents, expected) in cases {
        let expected = expected.map(|text| (text.to_owned(), false));
        for size in [1, 2, 7, 10_000] {
            assert_eq!(answered(documents, size), expected, "{why}, {size} bytes at a time");
        }
    }
}

#[test]
fn what_is_longer_is_cut_between_characters() {
    let body = format!(r#"{{"prompt":"{}"}}"#, "中".repeat(40_000));
    let (text, over) = asked(Endpoint::Completions, &body).unwrap();
    assert!(over && text.len() <= MaskedText::worth_gathering(MOST) && text.chars().all(|char| char == '中'));
    let said = Said { prompt: Some((text, over)), response: None }.masked(&masker(), MOST).unwrap();
    assert_eq!(said.prompt.as_ref().unwrap().as_str(), "中".repeat(33));
    assert!(said.prompt_truncated && said.response.is_none() && !said.response_truncated);
}

#[test]
fn a_message_before_the_last_takes_none_of_its_room() {
    let long = "x".repeat(20_000);
    let body = format!(r#"{{"messages":[{{"role":"user","content":"{long}"}},{{"role":"user","content":"last"}}]}}"#);
    assert_eq!(asked(Endpoint::Chat, &body), whole("last"));
}

#[test]
fn long_requests_are_read_at_both_ends() {
    let chat = |head: &str, tail: &str| prompt(Endpoint::Chat, head.as_bytes(), tail.as_bytes(), MOST);
    let begun = r#"{"messages":[{"role":"user","content":"the begin"#;
    for (why, head, tail, expected) in [
        (
            "the last one is in the end",
            r#"{"messages":[{"role":"user","content":"first"},{"role":"assistant","content":"lo"#,
            r#"ng"},{"role":"user","content":"last"}],"model":"m"}"#,
            whole("last"),
        ),
        (
            "content before role",
            r#"{"messages":[{"content":"first","role":"user"},"#,
            r#"..."},{"content":"last","role":"user"}]}"#,
            whole("last"),
        ),
        ("one that fills everything", begun, r#"its end"}],"model":"m"}"#, Some(("the begin".into(), true))),
        (
            "words of tools that look like messages",
            begun,
            r#"end"}],"tools":[{"parameters":{"role":{"type":"string"},"content":{"type":"string"}}}]}"#,
            Some(("the begin".into(), true)),
        ),
        (
            "lost in the middle",
            r#"{"messages":[{"role":"user","content":"first"},{"role":"assistant","content":"lo"#,
            r#"ng"}],"model":"m"}"#,
            None,
        ),
        (
            "an escaped look-alike",
            begun,
            r#"{\"role\":\"user\",\"content\":\"no\"}"}]}"#,
            Some(("the begin".into(), true)),
        ),
    ] {
        assert_eq!(chat(head, tail), expected, "{why}");
    }
    let long = prompt(Endpoint::Completions, br#"{"prompt":"once upon"#, br#"the end"}"#, MOST);
    assert_eq!(long, Some(("once upon".into(), true)));
}

const PIECES: &str = "(\\{|\\}|\\[|\\]|,|:|\"|\"messages\":|\"content\":|\"role\":\"user\"|\"choices\":|\"delta\":|\"index\":1|\"type\":\"text\"|\"text\":|\\\\|\\\\u[d0-9a-f]{0,4}|\u{4e2d}|x|1| ){0,60}";

proptest! {
    #[test]
    fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..300), tail in prop::collection::vec(any::<u8>(), 0..50), most in 0_usize..50) {
        let masker = masker();
        for endpoint in [Endpoint::Chat, Endpoint::Completions, Endpoint::Embeddings, Endpoint::Responses] {
            let prompt = prompt(endpoint, &bytes, &tail, most);
            let mut walk = Walk::new(Place::Answer, most);
            walk.push(&bytes);
            if let Some(said) = (Said { prompt, response: walk.finish() }).masked(&masker, most) {
                prop_assert!(said.bytes() <= 2 * most);
            }
        }
    }

    #[test]
    fn cuts_change_nothing(text in PIECES, size in 1_usize..9) {
        prop_assert_eq!(answered(&[&text], size), answered(&[&text], 100_000));
        let mut walk = Walk::new(Place::Request(Endpoint::Chat), MOST);
        text.as_bytes().chunks(size).for_each(|piece| walk.push(piece));
        let mut once = Walk::new(Place::Request(Endpoint::Chat), MOST);
        once.push(text.as_bytes());
        prop_assert_eq!(walk.finish(), once.finish());
    }

    /// What serde_json writes of a text, we read back.
    #[test]
    fn any_text_is_read_as_it_was_written(text in any::<String>(), size in 1_usize..9) {
        let document = serde_json::json!({"choices": [{"index": 0, "message": {"content": text}}]}).to_string();
        prop_assume!(text.len() <= MOST);
        prop_assert_eq!(answered(&[&document], size), Some((text, false)));
    }
}
