//! The same questions to the agent and to a Prometheus that scrapes it.

use std::collections::BTreeSet;
use std::time::Duration;

use plimsoll_tests::{Prometheus, eventually, get_json};
use serde_json::{Value, json};

use super::{RULES, agent, get};

/// Requests with something wrong: path and query, then what is wrong with it.
const WRONG: [(&str, &str); 21] = [
    ("query?query=1%2B", "cut short"),
    ("query", "no query"),
    ("query?query=up&time=soon", "no time"),
    ("query?query=up&timeout=soon", "no duration"),
    ("query?query=sum(1)", "a type error"),
    ("query?query=nosuch(up)", "no function"),
    ("query?query=rate(up)", "a range is wanted"),
    ("query?query=label_replace(plimsoll_collector_up,%22source%22,%22x%22,%22%22,%22.*%22)", "doubles"),
    ("query?query=plimsoll_collector_up%20%2B%20on()%20plimsoll_collector_up", "many to many"),
    ("query_range?query=up&end=10&step=1", "no start"),
    ("query_range?query=up&start=1&step=1", "no end"),
    ("query_range?query=up&start=1&end=10", "no step"),
    ("query_range?query=up&start=10&end=1&step=1", "ends before it starts"),
    ("query_range?query=up&start=1&end=10&step=0", "no step at all"),
    ("query_range?query=up&start=1&end=10&step=-1", "a step back"),
    ("query_range?query=up&start=0&end=11001&step=1", "too many steps"),
    ("query_range?query=up[5m]&start=0&end=10&step=1", "a range of ranges"),
    ("series", "no selector"),
    ("series?match[]={", "no selector either"),
    ("labels?match[]=up%20offset%205m&start=x", "neither time nor selector"),
    ("rules?type=other", "no kind of rule"),
];

/// Questions whose answers are equal as they stand: they say nothing of what a scrape adds.
const EQUAL: [&str; 15] = [
    "query?query=1%2B1&time=1.5",
    "query?query=%22text%22&time=2015-07-01T20:10:51.781Z",
    "query?query=vector(1e21)&time=0",
    "query?query=-1e-7&time=1435781451.5",
    "query?query=scalar(vector(0))/0&time=-1",
    "query?query=-1/0&time=5",
    "query?query=nothing&time=5",
    "query?query=nothing[5m]&time=5",
    "query_range?query=time()&start=0&end=3&step=1.5",
    "query_range?query=time()&start=0&end=11000&step=1",
    "query_range?query=nothing&start=0&end=60&step=15s",
    "query_range?query=label_replace(vector(time()),%22a%22,%22b%20%5C%22%22,%22%22,%22%22)&start=10&end=20&step=5",
    "series?match[]=nothing",
    "series?match[]=up&start=2&end=1",
    "format_query?query=sum(%20rate(x%7Ba=%22b%22%7D[5m]))%20by(a)/2",
];

/// Questions over what both have seen, without what a scrape adds.
const SEEN: [&str; 8] = [
    "sum without (job, instance) (plimsoll_cpu_limit_cores)",
    "sum without (job, instance) (plimsoll_memory_limit_bytes) / 1024",
    "max without (job, instance) (plimsoll_build_info)",
    "sum by (source) (plimsoll_collector_up)",
    "count by (__name__) ({__name__=~\"plimsoll_(cpu|memory)_limit_.*\"})",
    "sum by (alertname, alertstate, severity) (ALERTS)",
    "sum without (job, instance) (max_over_time(plimsoll_cpu_limit_cores[2s]) == bool 0)",
    "sum by (team) (cores:double)",
];

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_prometheus_own() {
    let agent = agent().await;
    let target = format!("127.0.0.1:{}", agent.metrics);
    let Some(prometheus) = Prometheus::with_rules(&[target], RULES).await.unwrap() else { return };

    for question in SEEN {
        eventually(question, Duration::from_secs(60), async || {
            let ask = [("query", question)];
            let mut answers = Vec::new();
            for url in [agent.api_url("/api/v1/query"), prometheus.url("/api/v1/query")] {
                let url = reqwest::Url::parse_with_params(&url, ask).unwrap();
                answers.push(elements(&get_json(url.as_str()).await.map_err(|e| e.to_string())?));
            }
            let same = answers[0] == answers[1] && !answers[0].is_empty();
            if same { Ok(()) } else { Err(format!("{answers:?}")) }
        })
        .await;
    }
    for (question, why) in WRONG {
        let (theirs, body) = get(&prometheus.url(&format!("/api/v1/{question}"))).await;
        let (ours, own) = get(&agent.api_url(&format!("/api/v1/{question}"))).await;
        assert_eq!((ours, &own["errorType"]), (theirs, &body["errorType"]), "{question} ({why}): {own} beside {body}");
        assert!(own["status"] == "error" && own["error"].as_str().is_some_and(|text| !text.is_empty()), "{own}");
    }
    for question in EQUAL {
        let theirs = get(&prometheus.url(&format!("/api/v1/{question}"))).await;
        let ours = get(&agent.api_url(&format!("/api/v1/{question}"))).await;
        assert_eq!(ours, theirs, "{question}");
    }
    rules_have_the_same_shape(&agent.api_url(""), &prometheus.url("")).await;
}

/// Labels and value of every element, in one order.
fn elements(answer: &Value) -> BTreeSet<String> {
    let result = answer["data"]["result"].as_array().into_iter().flatten();
    result.map(|element| format!("{} {}", element["metric"], element["value"][1])).collect()
}

/// Names of all keys, with where they are; lists count by their elements.
fn keys(value: &Value, at: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                found.insert(format!("{at}.{key}"));
                let opaque = matches!(key.as_str(), "labels" | "annotations");
                if !opaque {
                    keys(inner, &format!("{at}.{key}"), found);
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|inner| keys(inner, &format!("{at}[]"), found)),
        _ => {}
    }
}

/// Name, kind, state, health and alerts of every rule.
fn rules(answer: &Value) -> Vec<String> {
    let groups = answer["data"]["groups"].as_array().unwrap();
    let each = |rule: &Value| {
        let alerts: Vec<String> =
            rule["alerts"].as_array().into_iter().flatten().map(|a| a["state"].to_string()).collect();
        format!(
            "{} {} {} {} {} {alerts:?}",
            rule["type"], rule["name"], rule["state"], rule["health"], rule["duration"]
        )
    };
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).map(each).collect()
}

async fn rules_have_the_same_shape(agent: &str, prometheus: &str) {
    eventually("the same rules in the same states", Duration::from_secs(60), async || {
        let (_, ours) = get(&format!("{agent}/api/v1/rules")).await;
        let (_, theirs) = get(&format!("{prometheus}/api/v1/rules")).await;
        let same = rules(&ours) == rules(&theirs);
        if same { Ok(()) } else { Err(format!("{:?} beside {:?}", rules(&ours), rules(&theirs))) }
    })
    .await;
    for path in ["rules", "rules?type=record", "rules?type=alert", "alerts"] {
        let (_, ours) = get(&format!("{agent}/api/v1/{path}")).await;
        let (_, theirs) = get(&format!("{prometheus}/api/v1/{path}")).await;
        let (mut own, mut expected) = (BTreeSet::new(), BTreeSet::new());
        keys(&ours, "", &mut own);
        keys(&theirs, "", &mut expected);
        // since 2.43 keep_firing_for is shown as well, as we do
        own.retain(|key| !key.ends_with(".keepFiringFor") || expected.contains(key));
        assert_eq!(own, expected, "{path}: {ours} beside {theirs}");
    }
    let (_, ours) = get(&format!("{agent}/api/v1/rules?rule_name[]=Always")).await;
    let alert = &ours["data"]["groups"][0]["rules"][0]["alerts"][0];
    assert_eq!(alert["labels"]["severity"], "page", "{ours}");
    assert!(alert["value"].as_str().is_some_and(|value| value.contains("e+")), "{ours}");
    assert_eq!(rules(&ours).len(), 1, "only the one that was named: {ours}");
    let (_, none) = get(&format!("{agent}/api/v1/rules?rule_name[]=Missing")).await;
    assert_eq!(none["data"]["groups"], json!([]), "{none}");
    let (_, broken) = get(&format!("{agent}/api/v1/rules?rule_name[]=broken")).await;
    let rule = &broken["data"]["groups"][0]["rules"][0];
    assert!(
        rule["health"] == "err" && rule["lastError"].as_str().is_some_and(|why| why.contains("duplicate")),
        "{rule}"
    );
}
