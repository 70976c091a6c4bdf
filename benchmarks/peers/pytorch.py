"""Training steps in plain PyTorch: `python pytorch.py SIZE eager|compiled`.

The fast form of everything: fused attention, fused AdamW, one matrix for queries, keys and
values. LayerNorm, for which PyTorch has one kernel on the CPU, stands for RMSNorm. A size in
bfloat16 is for a GPU: parameters in float32, products under autocast.
"""

import sys

import torch
from serving import serve
from sizes import SIZES, Size
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    def __init__(self, size: Size) -> None:
        super().__init__()
        d, self.n_heads = size.d_model, size.n_heads
        self.attention_norm = nn.LayerNorm(d, bias=False)
        self.qkv = nn.Linear(d, 3 * d, bias=False)
        self.out = nn.Linear(d, d, bias=False)
        self.feed_forward_norm = nn.LayerNorm(d, bias=False)
        self.up = nn.Linear(d, 4 * d, bias=False)
        self.down = nn.Linear(4 * d, d, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, t, d = x.shape
        q, k, v = (
            part.view(b, t, self.n_heads, -1).transpose(1, 2)
            for part in self.qkv(self.attention_norm(x)).split(d, dim=2)
        )
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(b, t, d))
        h = self.up(self.feed_forward_norm(x))
        return x + self.down(functional.gelu(h, approximate="tanh"))


class GPT(nn.Module):
    def __init__(self, size: Size) -> None:
        super().__init__()
        self.embedding = nn.Embedding(size.vocab_size, size.d_model)
        self.positions = nn.Embedding(size.seq_len, size.d_model)
        self.blocks = nn.ModuleList(Block(size) for _ in range(size.n_layers))
        self.final_norm = nn.LayerNorm(size.d_model, bias=False)
        for parameter in self.parameters():
            if parameter.ndim == 2:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Mean loss of `tokens`, `B x (T + 1)`."""
        inputs, targets = tokens[:, :-1], tokens[:, 1:]
        position_ids = torch.arange(inputs.shape[1], device=inputs.device)
        x = self.embedding(inputs) + self.positions(position_ids)
        for block in self.blocks:
            x = block(x)
        logits = self.final_norm(x) @ self.embedding.weight.T
        return functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


def main() -> None:
    size, mode = SIZES[sys.argv[1]], sys.argv[2]
    on_gpu = size.precision == "bfloat16"
    device = "cuda" if on_gpu else "cpu"
    torch.manual_seed(0)
    torch.set_float32_matmul_precision("high")
    model = GPT(size).to(device)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1, fused=True
    )
    loss_of = torch.compile(model) if mode == "compiled" else model
    # As many steps as reading the loss once a second allows, at most 16.
    n_steps = 16 if size.n_layers < 4 else 1
    dims = (n_steps, size.batch_size, size.seq_len + 1)
    batches = torch.randint(size.vocab_size, dims, device=device)

    def advance() -> int:
        for i in range(n_steps):
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast(device, dtype=torch.bfloat16, enabled=on_gpu):
                loss = loss_of(batches[i])
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        loss.item()
        return n_steps

    serve({}, {"step": advance})


if __name__ == "__main__":
    main()
