"""The network that is trained: BERT with mean pooling, its tokenizer, and loops that encode lists of texts."""

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

LONGEST: Final = 96
"""Tokens of a text that are seen in training; longer ones are cut."""

_CHUNK_TOKENS: Final = 6_000


class Network:
    """Encoder and tokenizer of a sentence-transformers folder.

    Attention in its plain form: on two cores with bf16 twice as quick as the fused one (8,000 against 4,000 tokens a
    second, forward, backward and step). No dropout: targets are given, not guessed.
    """

    def __init__(self, folder: Path) -> None:
        os.environ["HF_HUB_OFFLINE"] = "1"
        from transformers import AutoModel  # noqa: PLC0415  after the variable

        self.folder = folder
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(LONGEST)
        self.model: Any = AutoModel.from_pretrained(folder, attn_implementation="eager", add_pooling_layer=False)
        self.model.float()
        for module in self.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, with marks, cut at `LONGEST`."""
        return [encoding.ids for encoding in self.tokenizer.encode_batch_fast(list(texts))]

    @property
    def table(self) -> torch.nn.Parameter:
        """The vectors of the pieces, (pieces, d)."""
        table: torch.nn.Parameter = self.model.embeddings.word_embeddings.weight
        return table

    def embed(self, ids: Sequence[Sequence[int]]) -> torch.Tensor:
        """Embeddings (n, d) of length 1, with gradients where they are on; chunks of like length, bf16 inside."""
        order = sorted(range(len(ids)), key=lambda place: len(ids[place]))
        found: list[torch.Tensor] = []
        start = 0
        while start < len(order):
            end = start + 1
            while end < len(order) and len(ids[order[end]]) * (end + 1 - start) <= _CHUNK_TOKENS:
                end += 1
            found.append(self._chunk([ids[place] for place in order[start:end]]))
            start = end
        back = torch.empty(len(order), dtype=torch.long)
        back[torch.tensor(order)] = torch.arange(len(order))
        return torch.cat(found)[back]

    def _chunk(self, ids: Sequence[Sequence[int]]) -> torch.Tensor:
        longest = max(map(len, ids))
        tokens = torch.zeros((len(ids), longest), dtype=torch.long)
        for row, own in enumerate(ids):
            tokens[row, : len(own)] = torch.tensor(own)
        mask = (tokens != 0).long()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            states = self.model(input_ids=tokens, attention_mask=mask).last_hidden_state
        weights = mask.unsqueeze(-1).float()
        return torch.nn.functional.normalize((states.float() * weights).sum(1) / weights.sum(1), dim=-1)

    @torch.no_grad()
    def embed_all(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embeddings of many texts, without gradients."""
        self.model.eval()
        found = [self.embed(self.tokens(texts[i : i + 2_000])).numpy() for i in range(0, len(texts), 2_000)]
        return np.concatenate(found) if found else np.empty((0, 384), dtype=np.float32)

    def part_of_the_way(self, start: "Network", way: float) -> None:
        """Go back a little towards a network that this one came from, its pieces aside where they are others.

        More general language for a little less of the field: Wortsman et al. 2022 (arXiv 2109.01903).
        """
        before = start.model.state_dict()
        with torch.no_grad():
            for name, value in self.model.state_dict().items():
                if value.is_floating_point() and value.shape == before[name].shape:
                    value.lerp_(before[name], 1 - way)

    def save(self, folder: Path) -> None:
        """Write a complete sentence-transformers folder."""
        copy_shell(self.folder, folder)
        self.save_weights(folder)

    def save_weights(self, folder: Path) -> None:
        """Write the weights alone."""
        from safetensors.torch import save_file  # noqa: PLC0415  only where something is saved

        state = {name: value.detach().contiguous() for name, value in self.model.state_dict().items()}
        state.pop("embeddings.position_ids", None)
        save_file(state, folder / "model.safetensors.part", metadata={"format": "pt"})
        (folder / "model.safetensors.part").replace(folder / "model.safetensors")


def copy_shell(source: Path, destination: Path) -> None:
    """Copy what surrounds the weights: configurations, tokenizer, pooling."""
    destination.mkdir(parents=True, exist_ok=True)
    if source.resolve() == destination.resolve():
        return
    for file in source.rglob("*"):
        target = destination / file.relative_to(source)
        if file.is_dir():
            target.mkdir(parents=True, exist_ok=True)
        elif file.suffix in {".json", ".txt"}:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)


def write_json(path: Path, value: object) -> None:
    """Write JSON as it stands in the repository."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", "utf-8")
