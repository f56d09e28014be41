# The two commands: `make demo` shows it, `make test` proves it. Both do all the set-up, and say what they install.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

.PHONY: bench-incidents help demo test setup fmt clippy tests unit e2e doc fuzz bench-tap bench-rss bench-rules bench-mask kill9 kill9-alerts test-vllm sim-drift sim-drift-embedding sim-drift-watch test-loop sim-verdicts bench-verdicts bench-records bench-nab bench-drift-batch bench-drift bench-shadow bench-shadow-kills bench-train

help:
	@echo 'make demo       build and play the three-minute scene'
	@echo 'make test       set up, format, clippy, unit, property and end-to-end tests, docs'
	@echo 'make bench-tap  the tap against direct and nginx, in one run'
	@echo 'make bench-rss  memory of the agent at 1 000 and 10 000 series'
	@echo 'make bench-rules  1 000 rules and range queries beside Prometheus, in one run'
	@echo 'make bench-mask   precision, recall and speed of masking, beside Presidio and the regex crate'
	@echo 'make sim-drift  false-alarm rates and delays of the drift detectors, by simulation'
	@echo 'make sim-drift-embedding  false alarms and delays of the embedding detector (makes MiniLM vectors first)'
	@echo 'make sim-drift-watch  run length and delay of drift watch over many columns, driving the binary'
	@echo 'make sim-verdicts  false alarms, sample sizes and decisions of the A/B verdicts, by simulation'
	@echo 'make bench-verdicts  outcomes a second and bytes of state of a verdict, beside a z-test'
	@echo 'make bench-records   exchanges with text a second into SQLite, on one core, beside Python'\''s sqlite3'
	@echo 'make bench-drift  cost of the drift detectors, and run length, delay and cost of river and alibi-detect'
	@echo 'make bench-nab  anomaly scores: NAB beside published figures'
	@echo 'make bench-incidents  anomaly alarms: found, missed, false in each labelled file of ../shared; cost beside river'
	@echo 'make bench-drift-batch  drift reports and tests beside evidently, scipy, alibi-detect, in one run'
	@echo 'make bench-shadow  embeddings beside sentence-transformers, scores beside transformers: parity, then speed'
	@echo 'make bench-shadow-kills  the tap while the shadow worker is killed 50 times'
	@echo 'make bench-train  LoRA training beside PEFT and torch: parity, tokens per second, memory'
	@echo 'make kill9      200 kills under load: no acknowledged feedback may be lost'
	@echo 'make kill9-alerts 300 kills under an alert storm: no receiver that works may miss a state'
	@echo 'make test-loop  quality falls, a version is trained, gated, tried, promoted; two more are not: with real llama.cpp servers'
	@echo 'make fuzz       each fuzz target for PLIMSOLL_FUZZ_SECONDS (60); needs nightly and cargo-fuzz'
	@echo 'make test-vllm  scrape, tap, adapters and the whole loop against a real vLLM on CPU (downloads 7 GB)'

demo:
	cargo build --release --locked -p plimsoll-agent
	target/release/plimsoll demo --svg target/demo.svg

setup:
	tests/setup.sh

test: setup fmt clippy tests doc
	@echo 'make test: everything passed'

fmt:
	cargo fmt --all --check

clippy:
	cargo clippy --locked --workspace --all-targets -- -D warnings

# one invocation, so that every dependency is built once with one set of features; it builds the binary under test too
tests:
	cargo test --locked --workspace

unit:
	cargo test --locked --workspace --exclude plimsoll-tests

e2e:
	cargo build --locked -p plimsoll-agent
	cargo test --locked -p plimsoll-tests

doc:
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps -q

bench-tap: setup
	cargo build --release --locked -p plimsoll-agent -p plimsoll-tests --bins --examples
	tests/bench/tap/run.sh

bench-rss:
	cargo build --release --locked -p plimsoll-agent
	tests/bench/rss.sh

bench-rules: setup
	cargo build --release --locked -p plimsoll-agent
	cargo build --release --locked -p plimsoll-tests --example rules_bench_data
	tests/bench/rules/run.sh

bench-mask:
	cargo build --release --locked -p plimsoll-agent
	python3 -m venv target/presidio && target/presidio/bin/pip install -q presidio-analyzer==2.2.366
	python3 tests/bench/mask/corpus.py target/mask-corpus.jsonl
	target/presidio/bin/python tests/bench/mask/score.py target/mask-corpus.jsonl --plimsoll target/release/plimsoll --presidio
	cargo run --release --locked -p plimsoll-rules --example mask_speed
# the vectors are made once: some minutes on one core
sim-drift-embedding:
	tests/bench/drift/setup_vectors.sh
	cargo run --release --locked -p plimsoll-rules --example sim_drift_embedding -- target/drift 300
# texts come from ../shared; without it the setting with texts says SKIPPED
sim-drift-watch:
	cargo build --release --locked -p plimsoll-agent
	python3 tests/bench/drift/watch.py target/release/plimsoll --data $${PLIMSOLL_SHARED:-../shared}/data
# 4 000 runs a line, some minutes on two cores
sim-verdicts:
	cargo run --release --locked -p plimsoll-rules --example sim_verdicts -- $${PLIMSOLL_RUNS:-4000}
bench-verdicts:
	cargo run --release --locked -p plimsoll-rules --example verdict_cost
bench-records:
	cargo build --release --locked -p plimsoll-agent --example records_ingest
	python3 tests/bench/records/ingest.py target/release/examples/records_ingest
# PLIMSOLL_TORCH=1 also installs torch (several gigabytes): without it the embedding peer says SKIPPED
bench-drift:
	tests/bench/drift/setup_peers.sh
	cargo build --release --locked -p plimsoll-rules --example sim_drift
	target/drift/peers/bin/python tests/bench/drift/peers.py
	target/drift/peers/bin/python tests/bench/drift/embedding_peer.py target/drift
bench-nab:
	cargo build --release --locked -p plimsoll-agent
	tests/bench/nab/run.sh
bench-incidents:
	cargo build --release --locked -p plimsoll-agent
	test -d target/drift/peers || python3 -m venv target/drift/peers
	target/drift/peers/bin/pip install -q river numpy
	PLIMSOLL_RIVER=target/drift/peers/bin/python python3 tests/bench/incidents/run.py
bench-drift-batch:
	cargo build --release --locked -p plimsoll-agent
	cargo build --release --locked -p plimsoll-rules --example two_sample_cost
	tests/bench/drift/setup_batch.sh
	target/venv-drift/bin/python tests/bench/drift/batch_peers.py

# torch comes from PyPI, several gigabytes; PLIMSOLL_TORCH_INDEX may name an index of CPU wheels
bench-shadow:
	tests/bench/shadow/setup.sh
	cargo build --release --locked -p plimsoll-shadow-model --examples
	target/shadow/venv/bin/python tests/bench/shadow/parity.py target/release/examples/embed_bench
	target/shadow/venv/bin/python tests/bench/shadow/embed.py target/release/examples/embed_bench
	target/shadow/venv/bin/python tests/bench/shadow/score.py 2 8,32,0 8,128,0
	target/shadow/venv/bin/python tests/bench/shadow/score.py 1 8,512,0
# 50 kills of the worker beside 50 turns without, ten minutes for each kind of answers
bench-shadow-kills:
	tests/bench/shadow/setup.sh
	cargo build --release --locked -p plimsoll-agent -p plimsoll-tests --bins --examples
	for kind in plain slow; do python3 tests/bench/shadow/kills.py "$$(target/shadow/venv/bin/python tests/bench/shadow/folder.py)" --kind $$kind; done

# torch as for bench-shadow
bench-train:
	tests/bench/torch.sh target/train/venv 'peft, safetensors, transformers' transformers peft safetensors
	cargo build --release --locked -p plimsoll-agent
	target/train/venv/bin/python tests/bench/train/parity.py target/release/plimsoll
	target/train/venv/bin/python tests/bench/train/speed.py target/release/plimsoll
	target/train/venv/bin/python tests/bench/train/memory.py target/release/plimsoll

kill9:
	cargo build --locked -p plimsoll-agent
	PLIMSOLL_KILLS=200 cargo test --locked -p plimsoll-tests --test kill9 -- --nocapture

kill9-alerts:
	cargo build --locked -p plimsoll-agent
	PLIMSOLL_KILLS=300 cargo test --locked -p plimsoll-tests --test kill9_alerts -- --nocapture

# part of make test; here it prints its timeline
test-loop: setup
	cargo build --locked --workspace
	cargo test --locked --workspace --test the_loop -- --nocapture

# two tests, one after the other
test-vllm: setup
	cargo build --locked --workspace
	tests/vllm/setup.sh
	PLIMSOLL_VLLM=1 cargo test --locked --workspace --test vllm --test vllm_loop -- --nocapture

# what a run finds worth keeping goes to target/fuzz; the corpus in the tree only grows by hand
fuzz:
	mkdir -p target/fuzz/mask target/fuzz/rule_file target/fuzz/exposition target/fuzz/promql target/fuzz/test_file target/fuzz/sink_answer
	cp rules/builtin.yml docs/examples/rules/*.yml target/fuzz/rule_file/
	cp tests/golden/engine/*.txt target/fuzz/exposition/
	for target in mask promql rule_file test_file exposition sink_answer; do \
	  mkdir -p tests/fuzz/corpus/$$target; \
	  cargo +nightly fuzz run --fuzz-dir tests/fuzz $$target target/fuzz/$$target tests/fuzz/corpus/$$target -- \
	    -max_total_time=$${PLIMSOLL_FUZZ_SECONDS:-60} -timeout=10 -rss_limit_mb=2048 -print_final_stats=1; \
	done

# real traces are unpacked to target/sim-drift; without ../shared what needs them says SKIPPED
sim-drift:
	mkdir -p target/sim-drift
	-gzip -dc ../shared/data/llm/azure_code_2023.csv.gz > target/sim-drift/azure.csv
	-gzip -dc ../shared/data/llm/mooncake_synthetic.csv.gz > target/sim-drift/mooncake.csv
	cargo run --release --locked -p plimsoll-rules --example sim_drift -- --data target/sim-drift
