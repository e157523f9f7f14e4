"""A sentence encoder of a few random weights, in sentence-transformers' layout, made without a download."""

from pathlib import Path

import pytest

WORDS = ("red", "blue", "green", "mug", "cup", "plate", "large", "small", *(f"kind{k}" for k in range(6)))
WORDS += tuple(f"theme{k}" for k in range(6)) + tuple(f"item{k}" for k in range(40))


def make_encoder(folder: Path, seed: int = 0) -> Path:
    """Write the encoder into a folder; skips the test where the extra `text` is not installed."""
    models = pytest.importorskip("sentence_transformers.models", reason="the extra `text` is not installed")
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    torch.manual_seed(seed)
    plain = folder.with_name(f"{folder.name}-plain")
    plain.mkdir(parents=True)
    (plain / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]))
    BertTokenizerFast(vocab=str(plain / "vocab.txt")).save_pretrained(plain)
    config = BertConfig(
        vocab_size=5 + len(WORDS), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=64,
    )  # fmt: skip
    BertModel(config).save_pretrained(plain)
    words = models.Transformer(str(plain))
    pooled = models.Pooling(words.get_embedding_dimension(), pooling_mode="mean")
    SentenceTransformer(modules=[words, pooled], device="cpu").save(str(folder))
    return folder
