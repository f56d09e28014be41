//! `plimsoll finetune` end to end: the same adapter whatever kills it, and every mistake told.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use plimsoll_tests::binary;
use serde_json::Value;

fn golden(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/golden/shadow")).join(name)
}

fn examples(range: std::ops::Range<usize>) -> String {
    range.fold(String::new(), |mut all, at| {
        let line = serde_json::json!({"prompt": format!("What is {at} plus 3?"), "response": format!(" {}.", at + 3)});
        let _ = writeln!(all, "{line}");
        all
    })
}

/// A folder with data, and trainings in it.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, range) in [("train", 0..50), ("hold", 50..60), ("old", 60..80)] {
            std::fs::write(folder.path().join(format!("{name}.jsonl")), examples(range)).unwrap();
        }
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A training of about 130 short steps into `out`, on one thread.
    fn command(&self, out: &str, more: &[&str]) -> Command {
        let mut command = Command::new(binary().unwrap());
        command.current_dir(self.folder.path()).args(["finetune", "--data", "train.jsonl", "--out", out]);
        command.arg("--model").arg(golden("qwen3")).args([
            "--batch-tokens",
            "90",
            "--accumulate",
            "2",
            "--epochs",
            "14",
        ]);
        command.args(["--lr", "1e-2", "--rank", "4", "--checkpoint-every", "4", "--threads", "1", "--device", "cpu"]);
        command.args(more);
        command
    }

    fn train(&self, out: &str, more: &[&str]) -> Output {
        self.command(out, more).output().unwrap()
    }

    fn json(&self, out: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.path(out).join("training.json")).unwrap()).unwrap()
    }

    fn adapter(&self, out: &str) -> Vec<u8> {
        std::fs::read(self.path(out).join("adapter_model.safetensors")).unwrap()
    }

    fn checkpoints(&self, out: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.path(out).join("checkpoints")).unwrap();
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|suffix| suffix == "checkpoint"));
        paths.sort();
        paths
    }

    /// Starts or goes on, and kills once a step is done.
    fn kill_after(&self, out: &str, more: &[&str], step: usize, late: Duration) -> bool {
        let mut command = self.command(out, more);
        let mut child = command.arg("--resume").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let progress = self.path(out).join("progress.jsonl");
        let wanted = format!("{{\"step\":{step},\"loss\"");
        loop {
            if std::fs::read_to_string(&progress).is_ok_and(|text| text.contains(&wanted)) {
                std::thread::sleep(late);
                child.kill().unwrap();
                return child.wait().unwrap().code().is_none();
            }
            if child.try_wait().unwrap().is_some() {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn steps(training: &Value) -> usize {
    training["steps"].as_u64().unwrap() as usize
}

#[test]
fn kills_do_not_change_the_adapter() {
    let place = Place::new();
    let more = ["--dropout", "0.1", "--dora", "--eval", "hold.jsonl", "--replay", "old.jsonl"];
    let whole = place.train("whole", &more);
    assert!(whole.status.success(), "{}", said(&whole));
    let steps = steps(&place.json("whole"));
    assert!(steps > 100, "{steps}");

    let mut rng = fastrand::Rng::with_seed(3);
    let mut at: Vec<usize> = (0..20).map(|_| rng.usize(1..steps)).collect();
    at.sort_unstable();
    let kills = at.iter().filter(|&&step| {
        let late = Duration::from_micros(rng.u64(0..12_000));
        place.kill_after("killed", &more, step, late)
    });
    let kills = kills.count();
    println!("{kills} of 20 kills hit a training of {steps} steps that was at work, after steps {at:?}");
    assert!(kills >= 15, "{kills}");
    let rest = place.train("killed", &[&more[..], &["--resume"]].concat());
    assert!(rest.status.success(), "{}", said(&rest));
    assert!(place.adapter("whole") == place.adapter("killed"), "the adapters differ");
    let [whole, killed] = ["whole", "killed"].map(|out| place.json(out));
    assert_eq!(whole["losses"], killed["losses"]);
    assert_eq!(whole["holdout_losses"], killed["holdout_losses"]);
    let lines = std::fs::read_to_string(place.path("killed/progress.jsonl")).unwrap();
    assert_eq!(lines.lines().filter(|line| line.contains("\"loss\"")).count(), steps);
    let all = std::fs::read_to_string(place.path("whole/progress.jsonl")).unwrap();
    let order = |lines: &str| -> Vec<Value> {
        let line = |line| -> Value { serde_json::from_str(line).unwrap() };
        lines
            .lines()
            .map(line)
            .map(|line| serde_json::json!([line["step"], line["loss"], line["holdout_loss"]]))
            .collect()
    };
    assert_eq!(order(&all), order(&lines));
}

#[test]
fn a_damaged_checkpoint_falls_back_to_the_one_before() {
    let place = Place::new();
    assert!(place.train("whole", &[]).status.success());
    assert!(place.kill_after("hurt", &[], 30, Duration::ZERO));
    let newest = place.checkpoints("hurt").pop().unwrap();
    let mut bytes = std::fs::read(&newest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&newest, bytes).unwrap();
    let rest = place.train("hurt", &["--resume"]);
    assert!(rest.status.success(), "{}", said(&rest));
    assert!(said(&rest).contains("left out: ") && said(&rest).contains("a damaged checkpoint"), "{}", said(&rest));
    assert!(place.adapter("whole") == place.adapter("hurt"), "the adapters differ");

    let again = place.train("hurt", &[]);
    assert!(said(&again).contains("has the checkpoints of a training; --resume goes on with it"), "{}", said(&again));
    let other = place.train("hurt", &["--resume", "--seed", "9"]);
    let expected = "a checkpoint of another training: other options: seed: 0 there, 9 asked for";
    assert!(said(&other).contains(expected), "{}", said(&other));
    let other = place.train("hurt", &["--resume", "--eval", "hold.jsonl"]);
    assert!(said(&other).contains("another holdout, or one where there was none"), "{}", said(&other));
    for path in place.checkpoints("hurt") {
        std::fs::write(path, "").unwrap();
    }
    let none = place.train("hurt", &["--resume"]);
    assert!(!none.status.success() && said(&none).contains("a damaged checkpoint"), "{}", said(&none));
}

#[test]
fn the_scorer_reads_the_adapter_as_the_trainer_does() {
    let place = Place::new();
    let trained = place.train("first", &["--eval", "hold.jsonl", "--rslora", "--stage", "domain"]);
    assert!(trained.status.success(), "{}", said(&trained));
    let training = place.json("first");
    let loss = |key: &str| training[key].as_f64().unwrap();
    let (before, after) = (loss("first_holdout_loss"), loss("last_holdout_loss"));
    assert!(after < 0.7 * before, "{before} {after}");
    assert_eq!(training["stage"], "domain");

    let mut score = Command::new(binary().unwrap());
    score.arg("score").arg("--model").arg(golden("qwen3")).arg("--adapter").arg(place.path("first"));
    let scored = score.arg(place.path("hold.jsonl")).output().unwrap();
    assert!(scored.status.success(), "{}", said(&scored));
    let lines: Vec<Value> =
        String::from_utf8(scored.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let sum = |key: &str| lines.iter().map(|line| line[key].as_f64().unwrap()).sum::<f64>();
    let nll = sum("response_nll") / sum("response_tokens");
    assert!((nll / after - 1.0).abs() < 1e-4, "{nll} {after}");

    // the next stage begins where this one ended
    let next = place.train("next", &["--eval", "hold.jsonl", "--rslora", "--from", "first", "--replay", "old.jsonl"]);
    assert!(next.status.success(), "{}", said(&next));
    let begins = place.json("next")["first_holdout_loss"].as_f64().unwrap();
    assert!((begins / after - 1.0).abs() < 1e-4, "{begins} {after}");
    let other = place.train("other", &["--from", "first"]);
    let expected = "the adapter to go on from is of another form: rslora: true there, false asked for\n";
    assert!(said(&other).contains(expected), "{}", said(&other));
    let page = std::fs::read_to_string(place.path("next/report.html")).unwrap();
    assert!(page.contains("<svg") && page.contains("Loss on the holdout") && !page.contains("<script"));
}

#[test]
fn mistakes_are_told_with_their_place() {
    let place = Place::new();
    for (line, message) in [
        ("{\"prompt\": 3}", "bad.jsonl:2: key prompt: found a number, expected a text"),
        ("{\"prompt\": \"a\"}", "bad.jsonl:2: key response: found nothing, expected a text"),
        ("[1]", "bad.jsonl:2: found a list, expected an object with messages, or with prompt and response"),
        ("{\"messages\": []}", "bad.jsonl:2: key messages: found an empty list, expected a list of messages"),
        (
            "{\"messages\": [{\"role\": \"user\", \"content\": null}]}",
            "bad.jsonl:2: key messages[0].content: found null, expected a text",
        ),
        ("{\"prompt\": \"a\", \"response\": \"\"}", "bad.jsonl:2: text: an empty response: there is nothing to learn"),
        ("{", "bad.jsonl:2: EOF while parsing an object"),
        (
            "{\"messages\": [{\"role\": \"assistant\", \"content\": \"x\"}]}",
            "bad.jsonl:2: text: the model's folder has no chat template",
        ),
    ] {
        std::fs::write(place.path("bad.jsonl"), format!("{}{line}\n", examples(0..1))).unwrap();
        let output = place.train("none", &["--eval", "bad.jsonl"]);
        assert!(!output.status.success() && said(&output).contains(message), "{line}: {}", said(&output));
    }
    for (more, message) in [
        (&["--targets", "q_proj,x"][..], "targets: found `x`, expected some of q_proj, k_proj"),
        (&["--alpha", "0"], "alpha: expected a number above 0"),
        (&["--eval", "nowhere.jsonl"], "nowhere.jsonl cannot be read"),
        (&["--gguf", "nowhere/a.gguf"], "--gguf: nowhere is no folder"),
        (
            &["--from", "nowhere"],
            "nowhere: no such folder; an adapter's folder has adapter_config.json and adapter_model",
        ),
        (&["--precision", "int8"], "precision: found int8, expected auto, f32, bf16 or f16"),
        (&["--memory", "1000"], "\"1000\" is not a size; write a whole number and a unit, such as 64MiB or 2GiB"),
        (&["--memory", "1KiB"], "memory: found 1024 bytes, expected at least "),
        (&["--memory", "1KiB", "--dry-run"], "memory: found 1024 bytes, expected at least "),
        (&["--gguf", "a.gguf", "--dora"], "the argument '--gguf <FILE>' cannot be used with '--dora'"),
    ] {
        let output = place.train("none", more);
        assert!(!output.status.success() && said(&output).contains(message), "{more:?}: {}", said(&output));
    }
    assert!(!place.path("none").exists());
    let output = place.train(".", &["--resume"]);
    assert!(!output.status.success() && said(&output).contains("which is of no training"), "{}", said(&output));
    let output = place.train("train.jsonl", &[]);
    assert!(!output.status.success() && said(&output).contains("is no folder"), "{}", said(&output));
}

#[test]
fn a_second_training_does_not_write_into_the_folder_of_the_first() {
    let place = Place::new();
    let long = ["--max-steps", "100000"];
    let mut first = place.command("busy", &long);
    let mut first = first.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while place.path("busy").read_dir().map_or(0, Iterator::count) < 3 {
        assert!(first.try_wait().unwrap().is_none(), "it ended");
        std::thread::sleep(Duration::from_millis(5)); // the lock, progress.jsonl and checkpoints
    }
    for more in [&long[..], &["--max-steps", "100000", "--resume"]] {
        let second = place.train("busy", more);
        let told = said(&second);
        let expected = format!("another training, process {} writes into busy; wait until", first.id());
        let begun = "has the checkpoints of a training";
        assert_eq!(second.status.code(), Some(1), "{told}");
        assert!(told.contains(if more.len() > 2 { &expected } else { begun }), "{told}");
    }
    first.kill().unwrap();
    first.wait().unwrap();
    let lock = std::fs::File::open(place.path("busy/.lock")).unwrap();
    lock.try_lock().unwrap();
}

#[test]
fn a_gate_that_refuses_is_told_from_one_that_could_not_judge() {
    let place = Place::new();
    let gate = |candidate: &std::path::Path, more: &[&str]| {
        let mut command = Command::new(binary().unwrap());
        command.current_dir(place.folder.path()).args(["gate", "--device", "cpu", "--failures", "hold.jsonl"]);
        command.args(["--anchors", "old.jsonl", "--model"]).arg(golden("qwen3")).arg("--candidate").arg(candidate);
        command.args(more).output().unwrap()
    };
    let adapter = golden("../train/qwen3-lora");
    let refused = gate(&adapter, &[]);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(String::from_utf8_lossy(&refused.stdout).starts_with("refused, attempt 1"));
    for (candidate, more, message) in [
        (adapter.clone(), &["--attempt", "0"][..], "0 is not in 1"),
        (adapter, &["--alpha", "3"], "is no share above 0 and below 1"),
        (place.path("nope"), &[], "nope: no such folder; an adapter's folder has adapter_config.json"),
    ] {
        let output = gate(&candidate, more);
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains(message), "{}", said(&output));
    }
}

#[test]
fn a_dry_run_counts_and_writes_nothing() {
    let place = Place::new();
    let dry = place.train("dry", &["--dry-run", "--format", "json"]);
    assert!(dry.status.success(), "{}", said(&dry));
    let told: Value = serde_json::from_slice(&dry.stdout).unwrap();
    // 2 layers: q 32x64, k and v 32x32, o 64x32, gate and up 32x64, down 64x32; rank 4
    assert_eq!(told["trained_parameters"], 2 * 4 * (5 * (32 + 64) + 2 * (32 + 32)));
    assert!(!place.path("dry").exists());
    let real = place.train("real", &[]);
    assert!(real.status.success(), "{}", said(&real));
    let training = place.json("real");
    assert_eq!([&told["steps"], &told["trained_parameters"]], [&training["steps"], &training["trained_parameters"]]);
}

#[test]
fn a_model_that_gives_no_numbers_stops_the_training() {
    let place = Place::new();
    // the first step throws every number of the adapter out of what f32 holds
    let mut command = Command::new(binary().unwrap());
    command.current_dir(place.folder.path()).args(["finetune", "--data", "train.jsonl", "--out", "out", "--model"]);
    command.arg(golden("qwen3")).args(["--lr", "1e38", "--warmup", "0", "--batch-tokens", "40", "--device", "cpu"]);
    let output = command.output().unwrap();
    assert!(!output.status.success(), "it went on");
    assert!(said(&output).contains("loss or derivative was not finite 5 times in a row"), "{}", said(&output));
    let lines = std::fs::read_to_string(place.path("out/progress.jsonl")).unwrap();
    assert!(lines.contains("\"step\":4,\"loss\":null"), "{lines}");
}

/// A checkpoint holds the history of every step: more than 64 KiB of JSON from some 370 steps on.
#[test]
fn a_long_training_ends_and_its_folder_is_its_own() {
    let place = Place::new();
    let model = place.path("model");
    std::fs::create_dir(&model).unwrap();
    for entry in std::fs::read_dir(golden("qwen3")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, model.join(path.file_name().unwrap())).unwrap();
    }
    let train = |out: &str, steps: &str, more: &[&str]| {
        let mut command = Command::new(binary().unwrap());
        command.current_dir(place.folder.path()).args(["finetune", "--data", "train.jsonl", "--model", "model"]);
        command.args(["--batch-tokens", "40", "--threads", "1", "--max-steps", steps, "--out", out]).args(more);
        command.output().unwrap()
    };
    let output = train("long", "700", &["--checkpoint-every", "650"]);
    assert!(output.status.success(), "{}", said(&output));
    let before = std::fs::read(model.join("config.json")).unwrap();
    let output = train("model", "3", &["--full"]);
    assert!(!output.status.success() && said(&output).contains("is the model's own folder"), "{}", said(&output));
    assert_eq!(std::fs::read(model.join("config.json")).unwrap(), before);
    std::fs::rename(place.path("model"), place.path("other")).unwrap();
    std::os::unix::fs::symlink(golden("qwen3"), &model).unwrap();
    let output = train("other", "3", &[]);
    assert!(said(&output).contains("holds a model that no training here has left"), "{}", said(&output));
}
