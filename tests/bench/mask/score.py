#!/usr/bin/env python3
"""Precision and recall of `plimsoll mask` on a labelled corpus, and of Microsoft Presidio on its English part.

    score.py CORPUS.jsonl --plimsoll PATH [--presidio] [--errors N]

A value is found when a finding of its kind covers at least nine tenths of its characters; a finding is false when it
touches no value of its kind. "hidden" is the share of values that some finding of any kind covers: what masking is for.
Presidio runs with its own pattern recognisers and checksums. Its language model cannot be installed from PyPI, so a blank
spaCy pipeline stands in, which costs it names and places (not counted here) and nothing of these kinds but word context.
"""

import argparse
import collections
import json
import os
import resource
import subprocess
import tempfile
import time

PRESIDIO = {"EMAIL_ADDRESS": "email", "PHONE_NUMBER": "phone", "CREDIT_CARD": "card", "IBAN_CODE": "iban", "IP_ADDRESS": "ip"}


def ours(binary, corpus):
    command = [binary, "mask", corpus, "--field", "text", "--format", "json", "--show-secrets"]
    report = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    found = collections.defaultdict(list)
    for row in report["found"]:
        start = row["column"] - 1
        found[row["line"] - 1].append((row["kind"], start, start + len(row["value"])))
    return found


def presidio(lines):
    import spacy
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
    from presidio_analyzer.nlp_engine import SpacyNlpEngine

    class Blank(SpacyNlpEngine):
        def __init__(self):
            super().__init__()
            self.nlp = {"en": spacy.blank("en")}

        def load(self):
            pass

    registry = RecognizerRegistry()
    registry.load_predefined_recognizers(languages=["en"])
    engine = AnalyzerEngine(nlp_engine=Blank(), registry=registry, supported_languages=["en"])
    found, seconds = collections.defaultdict(list), 0.0
    for n, line in enumerate(lines):
        if line["lang"] != "en":
            continue
        begun = time.process_time()
        results = engine.analyze(line["text"], "en", entities=list(PRESIDIO))
        seconds += time.process_time() - begun
        found[n] = [(PRESIDIO[r.entity_type], r.start, r.end) for r in results]
    size = sum(len(line["text"].encode()) for line in lines if line["lang"] == "en")
    print(f"presidio: {size / seconds / 1e6:.4f} MB/s of CPU time over {size / 1e6:.2f} MB of English, one process")
    return found, size / seconds


def our_speed(binary, lines, times=100):
    """Bytes a second of CPU time of the whole verb on the English texts, as plain text, start and output included."""
    text = "\n".join(line["text"] for line in lines if line["lang"] == "en") + "\n"
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        file.write(text * times)
        file.flush()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([binary, "mask", file.name], check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        size = os.path.getsize(file.name)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"plimsoll: {size / seconds / 1e6:.1f} MB/s of CPU time over {size / 1e6:.0f} MB of English, one value in about {size // times // max(1, sum(len(line['items']) for line in lines if line['lang'] == 'en'))} bytes")
    return size / seconds


def covered(item, spans):
    length = item["end"] - item["start"]
    return any(min(end, item["end"]) - max(start, item["start"]) >= 0.9 * length for start, end in spans)


def score(name, lines, found, kinds, errors=0):
    total, hit, hidden, claimed, false = (collections.Counter() for _ in range(5))
    for n, line in enumerate(lines):
        items = [item for item in line["items"] if item["kind"] in kinds]
        spans = [(start, end) for _, start, end in found[n]]
        for item in items:
            kind = item["kind"]
            same = [(start, end) for k, start, end in found[n] if k == kind]
            total[kind] += 1
            hit[kind] += covered(item, same)
            hidden[kind] += covered(item, spans)
            if errors > 0 and not covered(item, same):
                errors -= 1
                print("missed", kind, repr(line["text"][max(0, item["start"] - 25):item["end"] + 15]))
        for kind, start, end in found[n]:
            claimed[kind] += 1
            if not any(i["kind"] == kind and start < i["end"] and end > i["start"] for i in line["items"]):
                false[kind] += 1
                if errors > 0:
                    errors -= 1
                    print("false ", kind, repr(line["text"][max(0, start - 25):end + 15]))
    print(f"\n{name}\n| kind | values | precision | recall | hidden |\n| --- | --- | --- | --- | --- |")
    for kind in [*kinds, "all"]:
        t, h, s, c, f = (x.total() if kind == "all" else x[kind] for x in (total, hit, hidden, claimed, false))
        if t or c:
            print(f"| {kind} | {t} | {1 - f / max(c, 1):.4f} | {h / max(t, 1):.4f} | {s / max(t, 1):.4f} |")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("corpus")
    parser.add_argument("--plimsoll", required=True)
    parser.add_argument("--presidio", action="store_true")
    parser.add_argument("--errors", type=int, default=0)
    args = parser.parse_args()
    with open(args.corpus, encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    found = ours(args.plimsoll, args.corpus)
    all_kinds = sorted({item["kind"] for line in lines for item in line["items"]})
    for lang in ("en", "zh"):
        part = {n: line for n, line in enumerate(lines) if line["lang"] == lang}
        score(f"plimsoll, {lang}, {len(part)} texts", list(part.values()), {i: found[n] for i, n in enumerate(part)}, all_kinds, args.errors)
    score("plimsoll, all", lines, found, all_kinds)
    if args.presidio:
        english = [line for line in lines if line["lang"] == "en"]
        kinds = sorted(PRESIDIO.values())
        mine = {i: [f for f in found[n] if f[0] in kinds] for i, n in enumerate(n for n, line in enumerate(lines) if line["lang"] == "en")}
        score("plimsoll, English, Presidio's kinds", english, mine, kinds)
        theirs, their_speed = presidio(english)
        ours_by_theirs = our_speed(args.plimsoll, lines) / their_speed
        print(f"ratio of throughputs: {ours_by_theirs:.0f}")
        score("Presidio, English", english, theirs, kinds, args.errors)


if __name__ == "__main__":
    main()
