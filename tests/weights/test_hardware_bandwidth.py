"""The table of cards and how fast they read their memory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.weights.hardware.bandwidth import known_bandwidth

GIB = 1 << 30


@pytest.mark.parametrize(
    ("name", "gib", "speed"),
    [
        ("NVIDIA GeForce RTX 4090", 24, 1008),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", 16, 576),
        ("NVIDIA GeForce RTX 4070 Ti SUPER", 16, 672),
        ("NVIDIA GeForce RTX 4070 SUPER", 12, 504),
        ("NVIDIA GeForce RTX 3080", 10, 760),
        ("NVIDIA GeForce RTX 3080", 11.99, 912),
        ("NVIDIA GeForce RTX 3060", 8, 240),
        ("NVIDIA GeForce RTX 5060 Ti", 15.9, 448),
        ("NVIDIA A100-SXM4-40GB", 39.6, 1555),
        ("NVIDIA A100 80GB PCIe", 80, 1935),
        ("NVIDIA A100-SXM4-80GB", 0, 2039),
        ("NVIDIA H100 80GB HBM3", 79.6, 3350),
        ("NVIDIA H100 PCIe", 79.6, 2000),
        ("NVIDIA H100 NVL", 93, 3938),
        ("NVIDIA H200", 140, 4800),
        ("NVIDIA GH200 480GB", 95.6, 4000),
        ("NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition", 96, 1792),
        ("NVIDIA RTX 6000 Ada Generation", 48, 960),
        ("NVIDIA RTX A6000", 48, 768),
        ("Quadro RTX 6000", 24, 672),
        ("NVIDIA L40S", 45, 864),
        ("Tesla T4", 15, 320),
        ("Tesla V100-SXM2-16GB", 16, 900),
        ("NVIDIA GB10", 0, 273),
        ("AMD Radeon RX 7900 XTX", 24, 960),
        ("Radeon RX 7900 XT", 20, 800),
        ("AMD Radeon RX 6800 XT (RADV NAVI21)", 16, 512),
        ("AMD Radeon AI PRO R9700", 32, 640),
        ("AMD RYZEN AI MAX+ 395 w/ Radeon 8060S", 96, 256),
        ("AMD Instinct MI300X", 192, 5300),
        ("Intel(R) Arc(tm) A770 Graphics (DG2)", 15.9, 560),
        ("Apple M1", 0, 68),
        ("Apple M2 Ultra", 0, 800),
        ("Apple M4 Pro", 0, 273),
    ],
)
def test_a_known_card_is_found_by_its_name(name: str, gib: float, speed: float) -> None:
    assert known_bandwidth(name, round(gib * GIB)) == speed * 1e9


@pytest.mark.parametrize(("cores", "speed"), [(30, 300), (40, 400), (0, 300)])
def test_an_apple_max_chip_is_told_by_its_graphics_cores(cores: int, speed: float) -> None:
    assert known_bandwidth("Apple M3 Max", graphics_cores=cores) == speed * 1e9


@pytest.mark.parametrize(
    "name",
    [
        "NVIDIA GeForce RTX 9999",
        "NVIDIA GeForce RTX 4050 Laptop GPU",
        "NVIDIA GeForce RTX 5090 D v2",
        "Navi 31 [Radeon RX 7900 XT/7900 XTX/7900 GRE/7900M]",
        "Apple M9 Ultra",
        "AMD Radeon Pro VII",
        "described card",
        "",
    ],
)
def test_an_unknown_or_ambiguous_card_is_unknown(name: str) -> None:
    assert known_bandwidth(name, 24 * GIB) is None


@given(st.text(), st.integers(0, 1 << 50), st.integers(0, 100))
def test_any_name_is_taken(name: str, total: int, cores: int) -> None:
    assert known_bandwidth(name, total, cores) is None or known_bandwidth(name, total, cores) > 1e9


def test_a_name_with_an_endless_number_is_a_name() -> None:
    assert known_bandwidth("NVIDIA GeForce RTX 3090 " + "9" * 5000 + "GB") == 936e9
