"""The pilot's network in PyTorch: llama.cpp's ``lfm2``, with the circuit that copies set at the start."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of the network. Blocks alternate: short convolution, attention, …"""

    vocabulary: int
    blocks: int = 6
    width: int = 192
    heads: int = 6
    inner: int = 512
    taps: int = 3
    rope_base: float = 1e6
    epsilon: float = 1e-5
    context: int = 8192

    @property
    def head_width(self) -> int:
        """Width of one head."""
        return self.width // self.heads


class ShortConv(nn.Module):
    """A gated depthwise convolution over the last few tokens. ``in_proj`` rows are B, C, x; the last tap is now."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.in_proj = nn.Linear(shape.width, 3 * shape.width, bias=False)
        self.conv = nn.Parameter(torch.zeros(shape.width, shape.taps))
        self.out_proj = nn.Linear(shape.width, shape.width, bias=False)

    def forward(self, x: Tensor, rope: tuple[Tensor, Tensor]) -> Tensor:
        """``x`` is [batch, time, width]."""
        gate_in, gate_out, value = self.in_proj(x).chunk(3, dim=-1)
        value = gate_in * value
        taps = self.conv.shape[1]
        padded = F.pad(value, (0, 0, taps - 1, 0))
        mixed = sum(padded[:, tap : tap + x.shape[1]] * self.conv[:, tap] for tap in range(taps))
        return self.out_proj(gate_out * mixed)


class Attention(nn.Module):
    """Causal attention with normalised queries and keys, rotary in halves (NEOX)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.q = nn.Linear(shape.width, shape.width, bias=False)
        self.k = nn.Linear(shape.width, shape.width, bias=False)
        self.v = nn.Linear(shape.width, shape.width, bias=False)
        self.out = nn.Linear(shape.width, shape.width, bias=False)
        self.q_norm = nn.RMSNorm(shape.head_width, eps=shape.epsilon)
        self.k_norm = nn.RMSNorm(shape.head_width, eps=shape.epsilon)

    def forward(self, x: Tensor, rope: tuple[Tensor, Tensor]) -> Tensor:
        """``x`` is [batch, time, width]."""
        batch, time, width = x.shape
        split = (batch, time, self.heads, width // self.heads)
        query = _rotate(self.q_norm(self.q(x).view(split)), rope).transpose(1, 2)
        key = _rotate(self.k_norm(self.k(x).view(split)), rope).transpose(1, 2)
        value = self.v(x).view(split).transpose(1, 2)
        mixed = F.scaled_dot_product_attention(query.to(value.dtype), key.to(value.dtype), value, is_causal=True)
        return self.out(mixed.transpose(1, 2).reshape(batch, time, width))


class Block(nn.Module):
    """A mixer over time, then SwiGLU, each behind a norm and beside a residual."""

    def __init__(self, shape: Shape, index: int) -> None:
        super().__init__()
        self.mixer_norm = nn.RMSNorm(shape.width, eps=shape.epsilon)
        self.mixer = Attention(shape) if index % 2 else ShortConv(shape)
        self.ffn_norm = nn.RMSNorm(shape.width, eps=shape.epsilon)
        self.gate = nn.Linear(shape.width, shape.inner, bias=False)
        self.up = nn.Linear(shape.width, shape.inner, bias=False)
        self.down = nn.Linear(shape.inner, shape.width, bias=False)

    def forward(self, x: Tensor, rope: tuple[Tensor, Tensor]) -> Tensor:
        """``x`` is [batch, time, width]."""
        x = x + self.mixer(self.mixer_norm(x), rope)
        y = self.ffn_norm(x)
        return x + self.down(F.silu(self.gate(y)) * self.up(y))


class Pilot(nn.Module):
    """The whole network; embeddings are tied."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.blocks = nn.ModuleList(Block(shape, index) for index in range(shape.blocks))
        self.norm = nn.RMSNorm(shape.width, eps=shape.epsilon)
        _initialise(self, shape)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits [batch, time, vocabulary] for tokens [batch, time]."""
        rope = _rope_table(tokens.shape[1], self.shape)
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x, rope)
        return F.linear(self.norm(x), self.embedding.weight)


def _rope_table(time: int, shape: Shape) -> tuple[Tensor, Tensor]:
    half = shape.head_width // 2
    frequencies = shape.rope_base ** (-torch.arange(half, dtype=torch.float32) / half)
    angles = torch.arange(time, dtype=torch.float32)[:, None] * frequencies
    return angles.cos()[:, None, :], angles.sin()[:, None, :]


def _rotate(x: Tensor, rope: tuple[Tensor, Tensor]) -> Tensor:
    cos, sin = rope
    low, high = x.float().chunk(2, dim=-1)
    return torch.cat((low * cos - high * sin, low * sin + high * cos), dim=-1)


@torch.no_grad()
def _initialise(pilot: Pilot, shape: Shape) -> None:
    """Set the induction circuit: the first two blocks find the last place of this token and copy what came after it.

    From a normal start, networks of this size had not learnt to copy after millions of tokens; from this one it
    takes 60 steps, and the whole task is copying from tool results.
    """
    for parameter in pilot.parameters():
        if parameter.dim() == 2:
            nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)
    for block in pilot.blocks:
        nn.init.normal_(block.down.weight, std=0.02)
        out = block.mixer.out if isinstance(block.mixer, Attention) else block.mixer.out_proj
        nn.init.normal_(out.weight, std=0.02)
        if isinstance(block.mixer, ShortConv):
            nn.init.normal_(block.mixer.conv, std=0.3)
            block.mixer.conv[:, -1] += 0.5
    width = shape.width
    nn.init.normal_(pilot.embedding.weight)
    pilot.embedding.weight[:, 0] = 3.0
    pilot.norm.weight.fill_(0.15)
    rotation, projection = _orthogonal(width), _orthogonal(width)
    first, second = pilot.blocks[0].mixer, pilot.blocks[1].mixer
    assert isinstance(first, ShortConv)
    assert isinstance(second, Attention)
    first.in_proj.weight[: 2 * width].normal_(std=0.02)
    first.in_proj.weight[: 2 * width, 0] = 1 / 3
    first.in_proj.weight[2 * width :] = torch.eye(width)
    first.conv.zero_()
    first.conv[:, 1] = 1.0
    first.out_proj.weight.copy_(rotation)
    second.k.weight.copy_(projection)
    second.q.weight.copy_(projection @ rotation)
    second.v.weight.copy_(torch.eye(width))
    second.out.weight.copy_(1.5 * torch.eye(width))
    rising = torch.logspace(math.log10(0.3), math.log10(3.0), shape.head_width // 2).repeat(2)
    second.q_norm.weight.copy_(rising)
    second.k_norm.weight.copy_(rising)


def _orthogonal(width: int) -> Tensor:
    matrix, _ = torch.linalg.qr(torch.randn(width, width))
    return matrix
