#!/usr/bin/env python3
"""The real OpenAI client asks an engine directly and through the tap, plain and streaming, and compares.

    client.py DIRECT_URL TAP_URL MODEL      prints one JSON object: what was asked of each side and what it cost

Ends with 1 and a difference when the two sides do not answer alike.
"""

import json
import sys

import openai

PROMPTS = ["hello", "a longer question about ships and their load lines", "\u8f7d\u91cd\u7ebf\u662f\u4ec0\u4e48"]
ANSWER_TOKENS = 12


def plain(client, model, prompt):
    answer = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": prompt}], max_tokens=ANSWER_TOKENS, temperature=0, seed=1)
    choice = answer.choices[0]
    return {"text": choice.message.content, "finish": choice.finish_reason, "usage": counts(answer.usage)}


def streamed(client, model, prompt):
    stream = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": prompt}], max_tokens=ANSWER_TOKENS, temperature=0, seed=1,
        stream=True, stream_options={"include_usage": True})
    text, finish, usage = "", None, None
    for chunk in stream:
        if chunk.usage:
            usage = counts(chunk.usage)
        for choice in chunk.choices:
            text += choice.delta.content or ""
            finish = choice.finish_reason or finish
    return {"text": text, "finish": finish, "usage": usage}


def completion(client, model, prompt):
    answer = client.completions.create(model=model, prompt=prompt, max_tokens=ANSWER_TOKENS, temperature=0, seed=1)
    return {"text": answer.choices[0].text, "finish": answer.choices[0].finish_reason, "usage": counts(answer.usage)}


def counts(usage):
    return {"input": usage.prompt_tokens, "output": usage.completion_tokens}


def refused(client, model):
    """A request that the engine must refuse; the client must see the engine's own error."""
    try:
        client.chat.completions.create(model=model, messages=[{"role": "nobody", "content": 5}], max_tokens=-7)
    except openai.APIStatusError as error:
        return error.status_code
    return None


def ask(url, model):
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=120)
    answers = [kind(client, model, prompt) for kind in (plain, streamed, completion) for prompt in PROMPTS]
    return answers, refused(client, model)


def main():
    direct_url, tap_url, model = sys.argv[1:4]
    # the first round fills the engine's prefix cache: both sides are then asked in the same state
    ask(direct_url, model)
    direct, direct_error = ask(direct_url, model)
    tapped, tapped_error = ask(tap_url, model)
    if (direct, direct_error) != (tapped, tapped_error):
        print(json.dumps({"direct": [direct, direct_error], "tap": [tapped, tapped_error]}, indent=1))
        return 1
    usage = [answer["usage"] for answer in tapped]
    print(json.dumps({
        "requests": len(tapped),
        "streamed": len(PROMPTS),
        "error_status": tapped_error,
        "input_tokens": sum(u["input"] for u in usage),
        "output_tokens": sum(u["output"] for u in usage),
    }))
    return 0


sys.exit(main())
