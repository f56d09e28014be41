//! What a configuration file may say, and what is said about one that is wrong.

use super::*;

fn env(name: &str) -> Option<String> {
    (name == "TOKEN").then(|| "from the environment".to_owned())
}

fn said(text: &str) -> Vec<String> {
    let no_rules = format!("{}\n{text}", if text.contains("rules:") { "" } else { "rules: {builtin: false}" });
    match parse("p.yaml", no_rules.trim_start_matches('\n'), &Vec::new(), None, &env) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.0.iter().map(ToString::to_string).collect(),
    }
}

fn check(why: &str, text: &str, expected: &[&str]) {
    let said = said(text);
    assert_eq!(said.len(), expected.len(), "{why}: {said:#?}");
    for (line, wanted) in said.iter().zip(expected) {
        assert!(line.contains(wanted), "{why}: {line:?} does not contain {wanted:?}");
    }
}

#[test]
fn mistakes_are_named_with_their_place() {
    check("nothing", "", &[]);
    check(
        "a slip",
        "sources:\n  tap: {upstraem: x}",
        &["p.yaml:3:9: unknown key sources.tap.upstraem; did you mean sources.tap.upstream?"],
    );
    check("no idea", "zzzzzzz: 1", &["p.yaml:2:1: unknown key zzzzzzz; known keys here: identity, listen"]);
    check("wrong type", "listen: [1]", &["p.yaml:2:9: listen is a list; a mapping of keys is expected"]);
    check("number for text", "listen: {api: 9465}", &["listen.api is 9465; an address such as"]);
    check("text for number", "records: {sample: much}", &["records.sample is the text \"much\"; a number is expected"]);
    check("out of range", "records: {sample: 1.5}", &["records.sample: 1.5 is outside 0 to 1"]);
    check("not a number", "records: {sample: .nan}", &["records.sample is the text \"NaN\"; a number is expected"]);
    check("more than all", "text: {sample: 2}", &["p.yaml:2:16: text.sample: 2 is outside 0 to 1"]);
    check("text in plain", "records: {store_text: plain}", &["\"plain\" is not one of none, masked"]);
    check("bad duration", "business: {window: 5}", &["business.window is 5; a duration such as"]);
    check("bad unit", "business: {window: 5 minutes}", &["\"5 minutes\" is not a duration"]);
    check("bad word", "log: {level: loud}", &["\"loud\" is not one of error, warn, info, debug"]);
    check("bad URL", "sources: {tap: {upstream: 'ftp://x'}}", &["has the scheme \"ftp\"; write http://HOST:PORT"]);
    check(
        "no such variable",
        "identity: {service: '${NOPE}'}",
        &["p.yaml:2:21: the environment variable NOPE is not set"],
    );
    check("broken YAML", "listen: {", &["p.yaml:"]);
    check("doubled key", "log: {}\nlog: {}", &["p.yaml:3:1: duplicated key"]);
    check("two documents", "---\nlog: {}\n---\nlog: {}", &["second YAML document"]);
}

#[test]
fn all_mistakes_come_at_once_in_the_order_of_the_file() {
    check(
        "three",
        "listen: {metricz: '0.0.0.0:1'}\nlog: {level: loud}\nlimits: {disk: 2}",
        &["p.yaml:2:10: unknown key listen.metricz", "p.yaml:3:", "p.yaml:4:"],
    );
}

#[test]
fn what_cannot_be_read_hides_no_mistake_of_meaning_and_makes_none() {
    check(
        "both kinds",
        "log: {level: loud}\ncapacity: {reserve: 0.5}\ntext: {max_bytes: 5B, sample: 2}",
        &[
            "p.yaml:2:",
            "p.yaml:3:21: capacity.reserve: 0.5 is outside",
            "text.max_bytes: 5B is outside",
            "text.sample: 2",
        ],
    );
    for (why, text, expected) in [
        ("tokens", "listen: {api: '0.0.0.0:9465'}\napi: {admins: ['${NOPE}']}", "variable NOPE is not set"),
        (
            "tokens that have a slip",
            "listen: {api: '0.0.0.0:9465'}\napi: {admin: ['${TOKEN}']}",
            "unknown key api.admin",
        ),
        ("a port", "listen: {api: '0.0.0.0', metrics: '127.0.0.1:9465'}", "listen.api: \"0.0.0.0\" has no port"),
        ("a URL", "alerts: {alertmanagers: [{url: x}]}", "alerts.alertmanagers[0].url: \"x\" is not a URL"),
        ("an item", "api: {viewers: [[a]]}", "api.viewers[0]"),
    ] {
        check(why, text, &[expected]);
    }
}

#[test]
fn meaning_is_checked_too() {
    check("one port twice", "listen: {metrics: '0.0.0.0:9465'}", &["listen.api: port 9465 is taken by listen.metrics"]);
    check("an open API", "listen: {api: '0.0.0.0:9465'}", &["is not loopback, so it needs tokens"]);
    check("with tokens", "listen: {api: '0.0.0.0:9465'}\napi: {admins: ['${TOKEN}']}", &[]);
    check("a name", "api: {admins: [{name: ann, token: t}, u]}", &[]);
    check("no name", "api: {admins: [{name: '', token: t}]}", &["api.admins.0.name: \"\" is no name; write 1 to 64"]);
    check("nobody's", "api: {admins: [{name: local, token: t}]}", &["api.admins.0.name: \"local\" is no name"]);
    check("one name twice", "api: {admins: [{name: a, token: t}, {name: a, token: u}]}", &["\"a\" is taken"]);
    check("a name without a token", "api: {admins: [{name: ann}]}", &["api.admins.0.token: is empty"]);
    check("a key too many", "api: {admins: [{name: ann, tokn: t}]}", &["tokn"]);
    check("capacity", "capacity: {reserve: 2, window: 1d, requests_per_second: 3.5}", &[]);
    check("no reserve", "capacity: {reserve: 0.5}", &["capacity.reserve"]);
    check("no window", "capacity: {window: 1s}", &["capacity.window: 1s is outside 1m to 90d"]);
    check("no capacity", "capacity: {requests_per_second: 0}", &["0 found; a number above 0 is right"]);
    check("a loop", "sources: {tap: {upstream: 'http://localhost:8080'}}", &["is the tap itself"]);
    check("no url", "alerts: {alertmanagers: [{}]}", &["alerts.alertmanagers.0: has no url"]);
    check("no secret", "api: {admins: ['file:/nowhere/token']}", &["/nowhere/token cannot be read"]);
    check("too short", "sources: {gpu: {interval: 1ms}}", &["sources.gpu.interval: 1ms is too short"]);
    check(
        "no text to speak of",
        "text: {max_bytes: 5B}",
        &["p.yaml:2:19: text.max_bytes: 5B is outside 256B to 64KiB"],
    );
    check("text off", "text: {sample: 0}\nrecords: {store_text: masked}", &[]);
    check("other database", "records: {url: 'mysql://x'}", &["\"mysql\" is not sqlite://PATH or postgres://"]);
    check("no rule file", "rules: {builtin: false, files: [/nowhere/r.yml]}", &["/nowhere/r.yml cannot be read"]);
}

#[test]
fn a_shadow_model_that_could_never_start_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let shadow = |more: &str| format!("shadow: {{model: {}, {more}}}", folder.path().display());
    check("the defaults", &shadow(""), &[]);
    check("no place", &shadow("device: tpu"), &["shadow.device: found `tpu`, expected auto, cpu, cuda or cuda:N"]);
    check("no memory", &shadow("memory: 1MiB"), &["shadow.memory: 1MiB is too little; at least 128MiB is needed"]);
    check("no hash", &shadow("sha256: abc"), &["\"abc\" is no SHA-256; write 64 hexadecimal digits"]);
    check("no folder", "shadow: {scorer: /no/such}", &["p.yaml:2:18: shadow.scorer: /no/such is no folder"]);
    std::fs::write(folder.path().join("m.gguf"), "").unwrap();
    let gguf = |key: &str| format!("shadow: {{{key}: {}/m.gguf}}", folder.path().display());
    check("one file", &gguf("scorer"), &[]);
    check("an encoder is no such file", &gguf("model"), &["m.gguf is no folder"]);
    let expected: &[&str] = match cfg!(feature = "cuda") {
        true => &["shadow.precision: int8 is for the CPU"],
        false => &["shadow.device: \"cuda:1\": device: this build knows no GPU: build it with `--features cuda`"],
    };
    check("a GPU", &shadow("device: 'cuda:1', precision: int8"), expected);
    check("a worker elsewhere has its own", "shadow: {url: 'http://h:1', device: cuda}", &[]);
}

#[test]
fn masking_is_checked_with_its_places() {
    check("good", "masking: {patterns: {employee_id: 'EMP-[0-9]{6}'}, off: [ip, cn_id], salt: 0123456789abcdef}", &[]);
    for (why, text, expected) in [
        (
            "no such kind",
            "masking: {off: [email, adress]}",
            "2:24: masking.off[1]: \"adress\" is not one of email, phone",
        ),
        ("no text", "masking: {patterns: {a: [b]}}", "2:25: masking.patterns.a is a list; text is expected"),
        (
            "open group",
            "masking:\n  patterns:\n    a: x\n    b: '(x'",
            "5:8: masking.patterns.b: the pattern \"b\" is no regular",
        ),
        (
            "matches nothing",
            "masking: {patterns: {a: 'x*'}}",
            "masking.patterns.a: the pattern \"a\" matches the empty text",
        ),
        ("no name", "masking: {patterns: {9a: x}}", "masking.patterns.9a: \"9a\" is no name"),
        ("name of a kind", "masking: {patterns: {ip: x}}", "masking.patterns.ip: the name \"ip\" is taken"),
        ("short salt", "masking: {salt: abc}", "2:17: masking.salt: has 3 characters; at least 16"),
        ("no salt there", "masking: {salt: 'file:/nowhere/salt'}", "masking.salt: /nowhere/salt cannot be read"),
        ("few digits", "masking: {digits: 2}", "masking.digits: 2 is outside 4 to 32"),
    ] {
        check(why, text, &[expected]);
    }
    check("two at once", "masking: {patterns: {a: '(', b: ')'}}", &["masking.patterns.a", "masking.patterns.b"]);
}

#[test]
fn drift_is_checked_with_its_places() {
    for (why, text, expected) in [
        ("off", "{enabled: false}", vec![]),
        (
            "signals off, on and tuned",
            "{signals: {latency: off, language: on, embedding: {minimum_effect: 0.4, reference: 500}}}",
            vec![],
        ),
        ("a budget", "{false_alarms: 2 per 1w}", vec![]),
        (
            "no budget",
            "{false_alarms: 30d}",
            vec!["p.yaml:2:23: drift.false_alarms: \"30d\" is not a rate of false alarms; write NUMBER per DURATION"],
        ),
        ("none at all", "{false_alarms: 0 per 30d}", vec!["is not a rate of false alarms"]),
        ("a number", "{false_alarms: 1}", vec!["drift.false_alarms is 1; a rate such as 1 per 30d is expected"]),
        ("too large an effect", "{minimum_effect: 3}", vec!["drift.minimum_effect: 3 is outside 0 to 1"]),
        (
            "too few",
            "{reference: {observations: 10}}",
            vec!["drift.reference.observations: 10 is outside 128 to 100000"],
        ),
        ("no such signal", "{signals: {latencyy: off}}", vec!["did you mean drift.signals.latency?"]),
        (
            "neither off nor on",
            "{signals: {latency: maybe}}",
            vec!["p.yaml:2:28: drift.signals.latency: \"maybe\" is not one of off, on"],
        ),
        ("a list", "{signals: {latency: [1]}}", vec!["drift.signals.latency is a list"]),
        (
            "a slip in a signal",
            "{signals: {latency: {minimum_efect: 1}}}",
            vec!["did you mean drift.signals.latency.minimum_effect?"],
        ),
        ("a floor", "{signals: {task_completion: {floor: 0.8}}}", vec![]),
        (
            "a floor of what is learned",
            "{signals: {latency: {floor: 0.8}}}",
            vec!["p.yaml:2:36: drift.signals.latency.floor: only task_completion"],
        ),
        (
            "a reference of what is not",
            "{signals: {user_satisfaction: {reference: 500}}}",
            vec!["nothing is learned of this signal"],
        ),
        (
            "a bad figure in a signal",
            "{signals: {latency: {reference: 1}}}",
            vec!["drift.signals.latency.reference: 1 is outside 128"],
        ),
    ] {
        check(why, &format!("drift: {text}"), &expected);
    }
}

#[test]
fn receivers_and_routes_are_checked_with_their_places() {
    let alerts = |text: &str| format!("alerts: {text}");
    for (why, text, expected) in [
        ("no service", "{receivers: [{name: a}]}", vec!["p.yaml:2:22: alerts.receivers.0: names no service"]),
        (
            "two services",
            "{receivers: [{name: a, slack: {url: 'http://h/x'}, wecom: {url: 'http://h/x'}}]}",
            vec!["alerts.receivers.0: names slack and wecom"],
        ),
        ("no name", "{receivers: [{slack: {url: 'http://h/x'}}]}", vec!["alerts.receivers.0: has no name"]),
        ("no address", "{receivers: [{name: a, slack: {}}]}", vec!["alerts.receivers.0.slack.url: is empty"]),
        (
            "no such file",
            "{receivers: [{name: a, pagerduty: {routing_key: 'file:/nowhere/key'}}]}",
            vec!["alerts.receivers.0.pagerduty.routing_key: /nowhere/key cannot be read"],
        ),
        (
            "a bad address",
            "{receivers: [{name: a, feishu: {url: 'feishu.cn/x'}}]}",
            vec!["alerts.receivers.0: the URL is not usable"],
        ),
        (
            "a bad template",
            "{receivers: [{name: a, slack: {url: 'http://h/x'}, templates: {alert: '{{ nope }}'}}]}",
            vec!["alerts.receivers.0: template alert is not usable"],
        ),
        (
            "a bad language",
            "{receivers: [{name: a, lang: fr, slack: {url: 'http://h/x'}}]}",
            vec!["\"fr\" is not one of en, zh"],
        ),
        (
            "twins",
            "{receivers: [{name: a, slack: {url: 'http://h/x'}}, {name: a, slack: {url: 'http://h/y'}}]}",
            vec!["alerts.receivers.1: the name \"a\" is taken"],
        ),
        (
            "routes",
            "{receivers: [{name: a, slack: {url: 'http://h/x'}}], route: {receiver: b, routes: [{receiver: c, matchers: ['x']}]}}",
            vec![
                "alerts.route.receiver: \"b\" is no receiver; known: a",
                "alerts.route.routes.0.receiver: \"c\" is no receiver",
                "alerts.route.routes.0.matchers.0: \"x\" is not a matcher",
            ],
        ),
        ("a slip", "{route: {group_wiat: 5s}}", vec!["did you mean alerts.route.group_wait?"]),
        (
            "good",
            "{receivers: [{name: a, lang: zh, rate_per_minute: 10, dingtalk: {url: 'http://h/x', secret: SEC1}}], \
             route: {receiver: a, group_by: ['...'], routes: [{receiver: a, continue: true, matchers: ['s=~\"a|b\"'], group_wait: 0s}]}}",
            vec![],
        ),
    ] {
        check(why, &alerts(text), &expected);
    }
}

#[test]
fn the_command_line_wins_and_is_named() {
    let over = |value: &str| {
        parse("p.yaml", "rules: {builtin: false}", &vec![("sources.tap.upstream", value.into())], None, &env)
    };
    assert_eq!(over("http://10.0.0.1:8000").unwrap().engine_url.as_str(), "http://10.0.0.1:8000/metrics");
    let wrong = over("nonsense").unwrap_err().to_string();
    assert!(wrong.starts_with("command line: sources.tap.upstream: \"nonsense\" is not a URL"), "{wrong}");
}

#[test]
fn variables_are_replaced_and_dollars_can_be_written() {
    assert_eq!(expand("a${TOKEN}b", &env).unwrap().unwrap(), "afrom the environmentb");
    assert_eq!(expand("$$5 $x", &env).unwrap().unwrap(), "$5 $x");
    assert!(expand("${TOKEN", &env).is_err());
}

#[test]
fn any_bytes_give_problems_and_no_panic() {
    let mut rng = fastrand::Rng::with_seed(7);
    let alphabet: Vec<char> = "abc:{}[]-'\"\n \t|>&*!%#@$0123é\u{0}sources tap".chars().collect();
    for _ in 0..3000 {
        let text: String = (0..rng.usize(..60)).map(|_| alphabet[rng.usize(..alphabet.len())]).collect();
        let _ = parse("p.yaml", &text, &Vec::new(), None, &env);
    }
}
