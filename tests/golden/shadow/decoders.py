#!/usr/bin/env python3
"""Writes tiny random decoders of transformers with the numbers that transformers gets from them, for shadow-model/src.

Each folder: config.json, tokenizer.json, weights in F16, expected.json. The numbers are of the same weights in f32.
python3 -m venv /tmp/v && /tmp/v/bin/pip install torch transformers gguf && /tmp/v/bin/python tests/golden/shadow/decoders.py
"""
import json
import pathlib
import shutil

import gguf
import numpy
import tokenizers
import torch
import transformers

HERE = pathlib.Path(__file__).parent
VOCABULARY = 272
PAIRS = [
    ("What is the limit of my card?", " It is 500 euros a day."),
    ("", "An answer to nothing at all."),
    ("Wie hoch ist das Limit meiner Karte? 你好！", "A"),
    ("Count to ten, then count back to one, and then say what you have learnt from it. ", "1 2 3 4 5 6 7 8 9 10 9 8 7"),
]


def tokenizer(path, template="<s> $A"):
    """Bytes, a few merges, and a special token at the beginning of a text."""
    letters = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    merges = [("Ġ", "A"), ("Ġ", "B"), ("Ġ", "C"), ("Ġ", "t"), ("h", "e"), ("Ġt", "he")]
    words = letters + [left + right for left, right in merges]
    model = tokenizers.models.BPE({word: at for at, word in enumerate(words)}, merges)
    made = tokenizers.Tokenizer(model)
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    made.add_special_tokens(["<s>", "</s>", "<pad>"])
    special = [(token, made.token_to_id(token)) for token in ("<s>", "</s>") if token in template]
    made.post_processor = tokenizers.processors.TemplateProcessing(single=template, special_tokens=special)
    made.save(str(path), pretty=False)
    return made


def randomise(model, seed):
    """Weights wide enough that the logits tell tokens apart, norms around 1."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "norm" in name:
                weight.normal_(1.0, 0.2)
            elif "embed" in name or "lm_head" in name:
                weight.normal_(0.0, 0.7)
            else:
                weight.normal_(0.0, 0.3)
    return model


def nll(model, ids):
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0].double()
    follows = torch.log_softmax(logits[:-1], -1)
    return logits, [-follows[at, token].item() for at, token in enumerate(ids[1:])]


def expected(model, made):
    cases = []
    for prompt, response in PAIRS:
        prompt_ids = made.encode(prompt).ids
        ids = prompt_ids + made.encode(response, add_special_tokens=False).ids
        logits, tokens = nll(model, ids)
        case = {"prompt": prompt, "response": response, "ids": ids, "prompt_tokens": len(prompt_ids), "nll": tokens}
        cases.append(case)
    last = logits[-1].tolist()
    return {"cases": cases, "last_logits": [round(number, 6) for number in last]}


def save(name, model, answer, shards=None, template="<s> $A"):
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    model.half().save_pretrained(folder, max_shard_size=shards or "1GB")
    (folder / "generation_config.json").unlink(missing_ok=True)
    made = tokenizer(folder / "tokenizer.json", template)
    read = type(model).from_pretrained(folder, dtype=torch.float32).eval()
    (folder / "expected.json").write_text(json.dumps(answer(read, made), ensure_ascii=False))
    return folder


def decoder(name, kind, config, seed, shards=None):
    return save(name, randomise(kind(config), seed), expected, shards)


SHAPE = dict(vocab_size=VOCABULARY, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=512)

llama = decoder("llama3", transformers.LlamaForCausalLM, transformers.LlamaConfig(
    **SHAPE, rope_parameters=dict(rope_type="llama3", rope_theta=10000.0, factor=8.0, low_freq_factor=1.0,
                                  high_freq_factor=4.0, original_max_position_embeddings=32)), 1)

# As transformers 4 wrote it: rope_theta and rope_scaling; biases everywhere; in several files.
old = decoder("llama-biased", transformers.LlamaForCausalLM, transformers.LlamaConfig(
    **SHAPE, attention_bias=True, mlp_bias=True,
    rope_parameters=dict(rope_type="linear", rope_theta=5000.0, factor=2.5)), 2, "30kB")
config = json.loads((old / "config.json").read_text())
parameters = config.pop("rope_parameters")
config |= {"rope_theta": parameters["rope_theta"], "rope_scaling": {"type": "linear", "factor": parameters["factor"]}}
(old / "config.json").write_text(json.dumps(config, indent=2))

decoder("qwen2", transformers.Qwen2ForCausalLM, transformers.Qwen2Config(
    **SHAPE, tie_word_embeddings=True, use_sliding_window=True, sliding_window=16, max_window_layers=1), 3)
qwen3 = decoder("qwen3", transformers.Qwen3ForCausalLM, transformers.Qwen3Config(**SHAPE, head_dim=16), 4)


def scores(model, made):
    texts = [prompt + response for prompt, response in PAIRS]
    with torch.no_grad():
        return {"texts": texts, "scores": [model(torch.tensor([made.encode(text).ids])).logits.item() for text in texts]}


save("reward", randomise(transformers.Qwen3ForSequenceClassification(
    transformers.Qwen3Config(**SHAPE, head_dim=16, num_labels=1, pad_token_id=VOCABULARY - 1)), 5), scores)


def vectors(model, made):
    texts = [prompt + response for prompt, response in PAIRS]
    with torch.no_grad():
        last = [model(torch.tensor([made.encode(text).ids])).last_hidden_state[0, -1] for text in texts]
    return {"texts": texts, "vectors": torch.nn.functional.normalize(torch.stack(last)).tolist()}


# As Qwen3-Embedding: no head, no prefix in the names, a token at the end of a text whose vector is the text's.
folder = save("qwen3-embedding", randomise(transformers.Qwen3Model(transformers.Qwen3Config(**SHAPE, head_dim=16)), 6),
              vectors, template="$A </s>")
(folder / "modules.json").write_text(json.dumps([
    {"idx": at, "name": str(at), "path": path, "type": f"sentence_transformers.models.{kind}"}
    for at, (path, kind) in enumerate([("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")])]))
(folder / "1_Pooling").mkdir()
(folder / "1_Pooling/config.json").write_text(json.dumps({
    "word_embedding_dimension": 32, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": False,
    "pooling_mode_max_tokens": False, "pooling_mode_lasttoken": True, "include_prompt": True}))


def write_gguf(name, kind, architecture, source, seen):
    """Q8_0 as llama.cpp lays it out; the expected numbers are of the weights that its blocks stand for."""
    model = kind.from_pretrained(source, dtype=torch.float32)
    made, config = tokenizer(seen / "tokenizer.json"), model.config
    out = gguf.GGUFWriter(str(seen / "model-Q8_0.gguf"), architecture)
    out.add_block_count(config.num_hidden_layers)
    out.add_context_length(config.max_position_embeddings)
    out.add_embedding_length(config.hidden_size)
    out.add_feed_forward_length(config.intermediate_size)
    out.add_head_count(config.num_attention_heads)
    out.add_head_count_kv(config.num_key_value_heads)
    out.add_key_length(config.head_dim)
    out.add_value_length(config.head_dim)
    out.add_layer_norm_rms_eps(config.rms_norm_eps)
    out.add_rope_freq_base(config.rope_parameters["rope_theta"])
    names = gguf.get_tensor_name_map(getattr(gguf.MODEL_ARCH, architecture.upper()), config.num_hidden_layers)
    with torch.no_grad():
        for key, weight in model.state_dict().items():
            stored = weight.numpy()
            heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
            turned = [count for part, count in heads.items() if architecture == "llama" and part in key]
            for count in turned:  # llama.cpp's rope takes neighbours where transformers takes halves
                stored = stored.reshape(count, 2, -1, stored.shape[1]).swapaxes(1, 2).reshape(stored.shape)
            target = names.get_name(key, try_suffixes=(".weight", ".bias"))
            if weight.dim() == 1:
                out.add_tensor(target, stored)
                continue
            blocks = gguf.quants.quantize(numpy.ascontiguousarray(stored), gguf.GGMLQuantizationType.Q8_0)
            out.add_tensor(target, blocks, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
            plain = gguf.quants.dequantize(blocks, gguf.GGMLQuantizationType.Q8_0)
            for count in turned:
                plain = plain.reshape(count, -1, 2, plain.shape[1]).swapaxes(1, 2).reshape(plain.shape)
            weight.copy_(torch.from_numpy(plain))
        if config.rope_parameters["rope_type"] == "llama3":
            plain = 1 / config.rope_parameters["rope_theta"] ** (torch.arange(0, config.head_dim, 2) / config.head_dim)
            out.add_tensor("rope_freqs.weight", (plain / model.model.rotary_emb.inv_freq).numpy())
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()
    (seen / "expected.json").write_text(json.dumps(expected(model, made), ensure_ascii=False))


for name, kind, architecture, source in [("llama3-gguf", transformers.LlamaForCausalLM, "llama", llama),
                                         ("qwen3-gguf", transformers.Qwen3ForCausalLM, "qwen3", qwen3)]:
    shutil.rmtree(HERE / name, ignore_errors=True)
    (HERE / name).mkdir()
    write_gguf(name, kind, architecture, source, HERE / name)
