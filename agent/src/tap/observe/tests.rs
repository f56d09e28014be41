//! Reading answers: each engine's shapes, cut anywhere, broken anyhow.

use std::sync::Arc;
use std::time::{Duration, Instant};

use plimsoll_rules::mask::{MaskOptions, Masker};
use plimsoll_rules::{Endpoint, Exchange, ExchangeOutcome, TokenCount};
use proptest::prelude::*;

use super::json::{Facts, Scanner};
use super::lines::{Event, Events};
use super::trail::Trail;
use super::{Format, How, Inbox, Message, Recorder, queue};

fn facts(pieces: &[&[u8]]) -> Facts {
    let mut scanner = Scanner::default();
    for piece in pieces {
        scanner.push(piece);
    }
    scanner.finish()
}

#[test]
fn documents() {
    let text = |text: &str| Some(text.to_owned());
    let none = Facts::default;
    let cases: Vec<(&str, &str, Facts)> = vec![
        (
            "chat",
            r#"{"id":"c-1","model":"m","choices":[{"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":4,"prompt_tokens_details":{"prompt_tokens":9}}}"#,
            Facts {
                id: text("c-1"),
                model: text("m"),
                finish_reason: text("stop"),
                input_tokens: Some(3),
                output_tokens: Some(4),
                deltas: 1,
                ..none()
            },
        ),
        (
            "a delta with a role and nothing else",
            r#"{"choices":[{"delta":{"role":"assistant","content":""}}]}"#,
            none(),
        ),
        ("a token that is not text yet", r#"{"choices":[{"delta":{"content":""}}]}"#, Facts { deltas: 1, ..none() }),
        (
            "the last delta of OpenAI",
            r#"{"choices":[{"delta":{},"finish_reason":"length"}]}"#,
            Facts { finish_reason: text("length"), ..none() },
        ),
        ("content that is null", r#"{"choices":[{"delta":{"role":"assistant","content":null}}]}"#, none()),
        (
            "a tool call",
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"x","function":{"name":"f","arguments":""}}]}}]}"#,
            Facts { deltas: 1, ..none() },
        ),
        ("no tool calls", r#"{"choices":[{"delta":{"tool_calls":[]}}]}"#, none()),
        ("reasoning", r#"{"choices":[{"delta":{"reasoning_content":"hm"}}]}"#, Facts { deltas: 1, ..none() }),
        (
            "two choices, the first reason counts",
            r#"{"choices":[{"text":"a","finish_reason":"stop"},{"text":"b","finish_reason":"length"}]}"#,
            Facts { deltas: 2, finish_reason: text("stop"), ..none() },
        ),
        (
            "usage alone",
            r#"{"choices":[],"usage":{"prompt_tokens":22,"total_tokens":26,"completion_tokens":4}}"#,
            Facts { input_tokens: Some(22), output_tokens: Some(4), no_choices: true, ..none() },
        ),
        ("usage null", r#"{"usage":null,"choices":[{"delta":{"content":"a"}}]}"#, Facts { deltas: 1, ..none() }),
        (
            "Ollama",
            r#"{"model":"m","message":{"role":"assistant","content":"a"},"done":false}"#,
            Facts { model: text("m"), deltas: 1, ..none() },
        ),
        (
            "Ollama's last",
            r#"{"model":"m","response":"","done":true,"done_reason":"stop","prompt_eval_count":5,"eval_count":7}"#,
            Facts {
                model: text("m"),
                done: true,
                finish_reason: text("stop"),
                input_tokens: Some(5),
                output_tokens: Some(7),
                deltas: 1,
                ..none()
            },
        ),
        (
            "Responses",
            r#"{"type":"response.completed","response":{"id":"r","model":"m","status":"completed","error":null,"usage":{"input_tokens":1,"output_tokens":2}}}"#,
            Facts {
                kind: text("response.completed"),
                id: text("r"),
                model: text("m"),
                status: text("completed"),
                input_tokens: Some(1),
                output_tokens: Some(2),
                ..none()
            },
        ),
        (
            "cut short by its limit",
            r#"{"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"}}"#,
            Facts { status: text("incomplete"), finish_reason: text("max_output_tokens"), ..none() },
        ),
        (
            "an error",
            r#"{"error":{"message":"no","code":404}}"#,
            Facts { error: true, error_code: text("404"), ..none() },
        ),
        ("an error that is text", r#"{"error":"no"}"#, Facts { error: true, ..none() }),
        (
            "a request",
            r#"{"messages":[{"role":"user","content":"{\"model\":\"x\"}"}],"model":"m","stream":true,"stream_options":{"include_usage":true}}"#,
            Facts { model: text("m"), stream: Some(true), include_usage: Some(true), ..none() },
        ),
        ("escapes in a name", r#"{"model":"a\/b\u00e9\""}"#, Facts { model: text("a/b\u{e9}\""), ..none() }),
        (
            "white space",
            " \r\n{ \"model\" :\t\"m\" , \"usage\" : { \"prompt_tokens\" : 1 } } ",
            Facts { model: text("m"), input_tokens: Some(1), ..none() },
        ),
        ("names elsewhere", r#"{"a":{"model":"x","usage":{"prompt_tokens":1}},"b":["id","model"]}"#, none()),
        ("not a number", r#"{"usage":{"prompt_tokens":-1,"completion_tokens":1.5}}"#, none()),
        (
            "cut off",
            r#"{"id":"c","usage":{"prompt_tokens":12"#,
            Facts { id: text("c"), input_tokens: Some(12), ..none() },
        ),
        ("not JSON", "<html>model</html>", none()),
        ("nothing", "", none()),
        ("a list", r#"[{"model":"m"}]"#, none()),
    ];
    for (why, document, expected) in cases {
        assert_eq!(facts(&[document.as_bytes()]), expected, "{why}");
        let bytes: Vec<&[u8]> = document.as_bytes().chunks(1).collect();
        assert_eq!(facts(&bytes), expected, "{why}, a byte at a time");
    }
    let deep = "[".repeat(100_000);
    assert_eq!(facts(&[deep.as_bytes()]), none(), "too deep");
    let long = format!(r#"{{"model":"{}","id":"c"}}"#, "m".repeat(5000));
    assert_eq!(facts(&[long.as_bytes()]), Facts { id: text("c"), ..none() }, "a name that is too long");
    assert_eq!(facts(&[b"{\"model\":\"\xff\xfe\",\"id\":\"c\"}"]).id, text("c"), "invalid UTF-8");
}

fn whole_events(pieces: &[&[u8]]) -> Vec<Event> {
    let (mut reader, mut seen) = (Events::default(), Vec::new());
    reader.skip_names();
    for piece in pieces {
        reader.push(piece, &mut |event| seen.push(event));
    }
    reader.finish(&mut |event| seen.push(event));
    seen
}

fn events(pieces: &[&[u8]]) -> Vec<Option<String>> {
    let (mut reader, mut seen) = (Events::default(), Vec::new());
    let mut note = |event| {
        seen.push(match event {
            Event::Done => Some("[DONE]".to_owned()),
            Event::Document(facts) => facts.id,
        });
    };
    for piece in pieces {
        reader.push(piece, &mut note);
    }
    reader.finish(&mut note);
    seen
}

#[test]
fn server_sent_events() {
    let cases: &[(&str, &str, &[&str])] = &[
        ("plain", "data: {\"id\":\"a\"}\n\ndata: [DONE]\n\n", &["a", "[DONE]"]),
        ("CRLF", "data: {\"id\":\"a\"}\r\n\r\ndata: [DONE]\r\n\r\n", &["a", "[DONE]"]),
        ("CR", "data: {\"id\":\"a\"}\r\rdata: [DONE]\r\r", &["a", "[DONE]"]),
        ("no space", "data:{\"id\":\"a\"}\n\ndata:[DONE]\n\n", &["a", "[DONE]"]),
        ("comments and other fields", ": ping\n\nevent: x\nid: 7\nretry: 1\ndata: {\"id\":\"a\"}\n\n:\n", &["a"]),
        ("data in two lines", "data: {\"id\":\ndata: \"a\"}\n\n", &["a"]),
        ("fields that begin alike", "dat: x\ndatax: y\n\ndata: {\"id\":\"a\"}\n\n", &["a"]),
        ("no blank line at the end", "data: {\"id\":\"a\"}\n\ndata: [DONE]\n", &["a", "[DONE]"]),
        ("nothing", "", &[]),
    ];
    for (why, text, expected) in cases {
        let expected: Vec<_> = expected.iter().map(|id| Some((*id).to_owned())).collect();
        assert_eq!(events(&[text.as_bytes()]), expected, "{why}");
        let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        assert_eq!(events(&bytes), expected, "{why}, a byte at a time");
    }
}

proptest! {
    #[test]
    fn cuts_change_nothing(text in "(data: ?|\\{\"id\":|\"[a-c\u{20ac}\\\\\"]{0,4}\"|[\\[\\]{},:]|\r|\n|\n\n|x|\\[DONE\\]){0,40}", cuts in prop::collection::vec(0_usize..200, 0..6)) {
        let bytes = text.as_bytes();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.sort_unstable();
        let (mut pieces, mut from) = (Vec::new(), 0);
        for cut in cuts {
            pieces.push(&bytes[from..cut]);
            from = cut;
        }
        pieces.push(&bytes[from..]);
        prop_assert_eq!(events(&pieces), events(&[bytes]));
        prop_assert_eq!(facts(&pieces), facts(&[bytes]));
    }

    /// Fed a byte at a time no event is there whole, so each is taken apart: the short cut for repeated ones must agree.
    #[test]
    fn repeated_events_say_the_same_as_when_taken_apart(script in prop::collection::vec((0_usize..9, "[a\\\\\"{}n ]{0,3}"), 0..30)) {
        let mut text = String::new();
        for (shape, words) in &script {
            let words = words.replace('\\', "\\\\").replace('"', "\\\"");
            let choice = |delta: &str| format!("data: {{\"id\":\"c\",\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{{{delta}}},\"finish_reason\":null}}]}}\n\n");
            text += &match shape {
                0..4 => choice(&format!("\"content\":\"{words}\"")),
                4 => choice(&format!("\"role\":\"assistant\",\"content\": \"{words}\"")),
                5 => choice(&format!("\"tool_calls\":[{{\"function\":{{\"arguments\":\"{words}\"}}}}],\"text\":\"{words}\"")),
                6 => choice(&format!("\"content\":\"\\\"content\\\":\\\"{words}\"")),
                7 => format!("data: {{\"choices\":[{{\"text\":\"{words}\"}}],\"usage\":null}}\r\n\r\n"),
                _ => "data: [DONE]\n\n".to_owned(),
            };
        }
        let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        prop_assert_eq!(whole_events(&[text.as_bytes()]), whole_events(&bytes));
    }

    #[test]
    fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        facts(&[&bytes]);
        events(&[&bytes]);
    }
}

/// What passes a recorder in one exchange.
struct Script<'a> {
    endpoint: Endpoint,
    request: &'a str,
    status: u16,
    kind: &'static str,
    pieces: Vec<(u64, &'a str)>,
    how: How,
}

/// Plays an exchange through recorder, queue and trail, without the task; pieces come at given milliseconds.
fn play(script: &Script<'_>) -> Exchange {
    play_for(script, None)
}

/// The same, for an exchange of which so many bytes of text are wanted.
fn play_for(script: &Script<'_>, wanted: Option<usize>) -> Exchange {
    let masker = Masker::new(b"salt of the tests", &MaskOptions::default()).unwrap();
    let (sink, Inbox(mut inbox)) = queue();
    let started = Instant::now();
    let mut recorder = Recorder::new(sink, script.endpoint, None, Arc::from("blue"));
    recorder.request(script.request.as_bytes().to_vec(), Vec::new());
    recorder.head(script.status, Format::of(Some(script.kind.as_bytes()), false), Some(b"req-1".to_vec()));
    for (at, piece) in &script.pieces {
        recorder.answer(piece.as_bytes(), started + Duration::from_millis(*at));
    }
    recorder.end(script.how);
    let mut alone = Trail::default();
    while let Ok(Message { trail, mut batch, end, .. }) = inbox.try_recv() {
        let Some(shared) = trail else {
            alone.begin(|| wanted);
            alone.read(&mut batch);
            return std::mem::take(&mut alone).finish(&end.unwrap(), |name| name == "known", &masker);
        };
        let mut trail = shared.lock().unwrap();
        trail.begin(|| wanted);
        trail.read(&mut batch);
        if let Some(end) = end {
            return std::mem::take(&mut *trail).finish(&end, |name| name == "known", &masker);
        }
    }
    panic!("no end arrived")
}

const SSE: &str = "text/event-stream; charset=utf-8";
const JSON: &str = "application/json";

fn chat(pieces: Vec<(u64, &'static str)>) -> Script<'static> {
    Script {
        endpoint: Endpoint::Chat,
        request: r#"{"model":"known","stream":true}"#,
        status: 200,
        kind: SSE,
        pieces,
        how: How::Complete,
    }
}

const ROLE: &str =
    "data: {\"id\":\"c-1\",\"model\":\"m\",\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
const WORD: &str = "data: {\"id\":\"c-1\",\"model\":\"m\",\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
const STOP: &str = "data: {\"id\":\"c-1\",\"model\":\"m\",\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const USAGE: &str = "data: {\"id\":\"c-1\",\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":9}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

#[test]
fn a_streamed_answer() {
    let exchange =
        play(&chat(vec![(100, ROLE), (250, WORD), (300, WORD), (400, WORD), (410, STOP), (420, USAGE), (430, DONE)]));
    assert_eq!((exchange.id.as_str(), exchange.request_id.as_deref()), ("c-1", Some("req-1")));
    assert_eq!((exchange.model.as_str(), exchange.variant.as_str()), ("m", "blue"));
    assert_eq!((exchange.outcome, exchange.status, exchange.stream), (ExchangeOutcome::Ok, 200, true));
    assert_eq!(exchange.finish_reason.as_deref(), Some("stop"));
    assert_eq!((exchange.input_tokens, exchange.output_tokens), (TokenCount::Reported(5), TokenCount::Reported(9)));
    let wait = exchange.time_to_first_token.unwrap();
    assert!((0.2..=0.2501).contains(&wait.as_secs_f64()), "the first word, not the role: {wait:?}");
    let gaps: Vec<_> = exchange.inter_token_seconds.iter().map(|gap| (gap * 1000.0).round()).collect();
    assert_eq!(gaps, [50.0, 100.0]);
}

#[test]
fn outcomes_and_counts() {
    use ExchangeOutcome::{BrokenStream, ClientAbort, ClientError, Ok, ServerError, Timeout};
    let estimated = TokenCount::Estimated;
    let plain = |body| Script { kind: JSON, request: r#"{"model":"known"}"#, ..chat(vec![(1, body)]) };
    let cases = [
        (
            "usage not asked for",
            chat(vec![(1, ROLE), (2, WORD), (3, WORD), (4, STOP), (5, DONE)]),
            Ok,
            "m",
            estimated(2),
        ),
        ("no terminator", chat(vec![(1, WORD), (2, STOP)]), BrokenStream, "m", estimated(1)),
        ("client gone", Script { how: How::ClientAbort, ..chat(vec![(1, WORD)]) }, ClientAbort, "m", estimated(1)),
        (
            "upstream broke",
            Script { how: How::Broken, ..chat(vec![(1, WORD), (2, WORD)]) },
            BrokenStream,
            "m",
            estimated(2),
        ),
        ("upstream fell silent", Script { how: How::Timeout, ..chat(vec![]) }, Timeout, "", estimated(0)),
        (
            "an error as an event",
            chat(vec![(1, WORD), (2, "data: {\"error\":{\"code\":500}}\n\n"), (3, DONE)]),
            ServerError,
            "m",
            estimated(1),
        ),
        (
            "the client's error as an event",
            chat(vec![(1, "data: {\"error\":{\"code\":400}}\n\n"), (3, DONE)]),
            ClientError,
            "",
            estimated(0),
        ),
        (
            "plain",
            plain(r#"{"id":"c","model":"m","choices":[{"message":{"content":"a"}}],"usage":{"completion_tokens":3}}"#),
            Ok,
            "m",
            TokenCount::Reported(3),
        ),
        (
            "plain without usage",
            plain(r#"{"id":"c","model":"m","choices":[{"message":{"content":"a"}}]}"#),
            Ok,
            "m",
            TokenCount::Unknown,
        ),
        (
            "4xx",
            Script { status: 404, ..plain(r#"{"error":{"code":404}}"#) },
            ClientError,
            "known",
            TokenCount::Unknown,
        ),
        (
            "4xx of a model nobody has served",
            Script { status: 404, request: r#"{"model":"x1"}"#, ..plain("{}") },
            ClientError,
            "",
            TokenCount::Unknown,
        ),
        ("5xx", Script { status: 503, ..plain("overloaded") }, ServerError, "known", TokenCount::Unknown),
        (
            "a model only in the request",
            plain(r#"{"id":"c","usage":{"completion_tokens":3}}"#),
            Ok,
            "known",
            TokenCount::Reported(3),
        ),
        (
            "embeddings generate nothing",
            Script {
                endpoint: Endpoint::Embeddings,
                ..plain(r#"{"model":"m","usage":{"prompt_tokens":8,"completion_tokens":0}}"#)
            },
            Ok,
            "m",
            TokenCount::Unknown,
        ),
    ];
    for (why, script, outcome, model, tokens) in cases {
        let exchange = play(&script);
        assert_eq!(
            (exchange.outcome, exchange.model.as_str(), exchange.output_tokens),
            (outcome, model, tokens),
            "{why}"
        );
    }
}

#[test]
fn other_interfaces() {
    let responses = Script {
        endpoint: Endpoint::Responses,
        ..chat(vec![
            (
                1,
                "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"r-1\",\"model\":\"m\",\"status\":\"in_progress\",\"error\":null,\"usage\":null}}\n\n",
            ),
            (
                5,
                "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"item_id\":\"i\",\"delta\":\"Hi\"}\n\n",
            ),
            (
                7,
                "data: {\"type\":\"response.output_text.delta\",\"delta\":\"!\"}\n\ndata: {\"type\":\"response.output_text.done\",\"text\":\"Hi!\"}\n\n",
            ),
            (
                9,
                "data: {\"type\":\"response.completed\",\"response\":{\"id\":\"r-1\",\"model\":\"m\",\"status\":\"completed\",\"error\":null,\"usage\":{\"input_tokens\":4,\"output_tokens\":2}}}\n\n",
            ),
        ])
    };
    let ollama = Script {
        endpoint: Endpoint::OllamaChat,
        kind: "application/x-ndjson",
        ..chat(vec![
            (
                1,
                "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"Hi\"},\"done\":false}\n{\"model\":\"m\",\"mess",
            ),
            (4, "age\":{\"role\":\"assistant\",\"content\":\"!\"},\"done\":false}\n"),
            (
                6,
                "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":true,\"done_reason\":\"stop\",\"prompt_eval_count\":4,\"eval_count\":2}\n",
            ),
        ])
    };
    for (why, script, id) in [("Responses", responses, "r-1"), ("Ollama", ollama, "req-1")] {
        let exchange = play(&script);
        assert_eq!(
            (exchange.outcome, exchange.id.as_str(), exchange.model.as_str()),
            (ExchangeOutcome::Ok, id, "m"),
            "{why}"
        );
        assert_eq!(
            (exchange.input_tokens, exchange.output_tokens),
            (TokenCount::Reported(4), TokenCount::Reported(2)),
            "{why}"
        );
        assert_eq!(exchange.finish_reason.as_deref(), Some("stop"), "{why}");
        assert_eq!(exchange.inter_token_seconds.len(), 1, "{why}");
    }
}

#[test]
fn long_bodies_are_read_at_both_ends() {
    let numbers = "0.123456789,".repeat(100_000);
    let body = format!(r#"{{"id":"e","model":"m","data":[{numbers}0],"usage":{{"prompt_tokens":77}}}}"#);
    let pieces: Vec<_> = body.as_bytes().chunks(16_384).map(|piece| (1, std::str::from_utf8(piece).unwrap())).collect();
    let exchange = play(&Script { endpoint: Endpoint::Embeddings, kind: JSON, ..Script { pieces, ..chat(vec![]) } });
    assert_eq!((exchange.id.as_str(), exchange.input_tokens), ("e", TokenCount::Reported(77)));
}

#[test]
fn a_full_queue_drops_and_counts() {
    let (sink, Inbox(mut inbox)) = queue();
    for _ in 0..super::QUEUE + 10 {
        Recorder::new(sink.clone(), Endpoint::Chat, None, Arc::from("")).end(How::Complete);
    }
    assert_eq!(sink.dropped.load(std::sync::atomic::Ordering::Relaxed), 10);
    assert_eq!(sink.running.load(std::sync::atomic::Ordering::Relaxed), 0);
    let mut waiting = 0;
    while inbox.try_recv().is_ok() {
        waiting += 1;
    }
    assert_eq!(waiting, super::QUEUE);
}
