"""Writes tiny random encoders as Hugging Face folders, and what sentence-transformers makes of some texts with them.

target/shadow/venv/bin/python tests/golden/shadow/encoders.py  (after tests/bench/shadow/setup.sh)
`bert/` has all that sentence-transformers writes; `roberta/` is a plain transformers folder whose tensors stand under
`roberta.`. `encoders.json`: for each folder, pooling and normalisation, the vectors of the same texts. Made with transformers
5.24, sentence-transformers 6.2, torch 2.15; weights are stored as F16, which the vectors are of.
"""
import json
import pathlib
import string
import tempfile

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.models import Normalize, Pooling, Transformer
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast, RobertaConfig, RobertaForMaskedLM

HERE = pathlib.Path(__file__).parent
TEXTS = [
    "where is my card",
    "Where is my CARD?",
    "",
    "   ",
    "a",
    "\u6211\u60f3\u627e\u4e00\u5bb6\u9910\u9986",
    "card 42, caf\u00e9 \U0001f600",
    "my card is lost " * 20,
    "[SEP] <s> is where",
]
POOLS = ["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]


def tokenizer(cls: str, sep: str, pad: str, unk: str, mask: str, first: list[str]) -> PreTrainedTokenizerFast:
    letters = string.ascii_lowercase + string.digits
    words = ["where", "is", "my", "card", "lost"] + list("\u6211\u60f3\u627e\u4e00\u5bb6\u9910\u9986,.?")
    vocabulary = {word: place for place, word in enumerate(first + list(letters) + ["##" + sign for sign in letters] + words)}
    inner = Tokenizer(models.WordPiece(vocabulary, unk_token=unk))
    inner.normalizer = normalizers.BertNormalizer(lowercase=True)
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ids = [(sign, vocabulary[sign]) for sign in (cls, sep)]
    inner.post_processor = processors.TemplateProcessing(single=f"{cls} $A {sep}", special_tokens=ids)
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, cls_token=cls, sep_token=sep, pad_token=pad, unk_token=unk, mask_token=mask, model_max_length=24
    )


SHAPE = dict(vocab_size=128, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48)


def bert(path: pathlib.Path) -> None:
    torch.manual_seed(1)
    config = BertConfig(**SHAPE, max_position_embeddings=24, initializer_range=0.3)
    model = BertModel(config, add_pooling_layer=False)
    spread(model)
    model.half().save_pretrained(path)
    tokenizer("[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]", ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]).save_pretrained(path)


def roberta(path: pathlib.Path) -> None:
    torch.manual_seed(2)
    config = RobertaConfig(**SHAPE, max_position_embeddings=26, type_vocab_size=1, pad_token_id=1, hidden_act="gelu_new",
                           initializer_range=0.3, layer_norm_eps=1e-5)
    model = RobertaForMaskedLM(config)
    spread(model)
    model.half().save_pretrained(path)
    tokenizer("<s>", "</s>", "<pad>", "<unk>", "<mask>", ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]).save_pretrained(path)


def spread(model: torch.nn.Module) -> None:
    """Biases and norms away from 0 and 1, which would hide one that is left out."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() == 1:
                weight += torch.randn_like(weight) * 0.1


def vectors(path: pathlib.Path, pool: str, normalise: bool) -> list[list[float]]:
    trunk = Transformer(str(path))
    modules = [trunk, Pooling(trunk.get_embedding_dimension(), pool)] + ([Normalize()] if normalise else [])
    model = SentenceTransformer(modules=modules, device="cpu").float()
    return [[round(float(number), 7) for number in row] for row in model.encode(TEXTS, batch_size=4)]


def main() -> None:
    cases = []
    for name, make in (("bert", bert), ("roberta", roberta)):
        path = HERE / name
        make(path)
        for pool in POOLS if name == "bert" else ["mean"]:
            cases.append({"folder": name, "pool": pool, "normalise": pool == "mean" and name == "bert",
                          "vectors": vectors(path, pool, pool == "mean" and name == "bert")})
    (HERE / "encoders.json").write_text(json.dumps({"texts": TEXTS, "cases": cases}, ensure_ascii=True) + "\n")
    with tempfile.TemporaryDirectory() as kept:
        trunk = Transformer(str(HERE / "bert"))
        modules = [trunk, Pooling(trunk.get_embedding_dimension(), "mean"), Normalize()]
        SentenceTransformer(modules=modules, device="cpu").save(kept)
        for file in ("modules.json", "1_Pooling/config.json", "sentence_bert_config.json", "config_sentence_transformers.json"):
            target = HERE / "bert" / file
            target.parent.mkdir(exist_ok=True)
            target.write_text((pathlib.Path(kept) / file).read_text())


if __name__ == "__main__":
    main()
