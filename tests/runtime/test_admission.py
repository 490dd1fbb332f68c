"""How models are placed on machines that one does not have: real shapes, pretending engines, the real supervisor."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

import shaped_gguf
from hearth.errors import EngineFailed
from hearth.paths import Paths, resolve_paths
from hearth.runtime.engine import Engine, LoadProgress
from hearth.runtime.launch import Launch
from hearth.runtime.pretend import PretendEngine
from hearth.runtime.supervisor import Supervisor
from hearth.settings import EngineSettings, Settings
from hearth.weights.hardware import Gpu, Machine, describe_machine
from hearth.weights.store import ModelCard
from shaped_models import real_shapes

pytestmark = pytest.mark.slow

GIB = 1 << 30
Begin = Callable[..., "House"]


class House:
    """A supervisor on a machine, and how it launched what."""

    def __init__(self, paths: Paths, machine: Machine, **settings: float) -> None:
        self.launches: dict[str, Launch] = {}
        engine = EngineSettings(**settings)  # type: ignore[arg-type]  # the test's own names
        self.supervisor = Supervisor(Settings(engine=engine), paths, self._make, measure=self._measure)
        self._machine = machine

    def _make(self, card: ModelCard, launch: Launch, _paths: Paths) -> Engine:
        self.launches[card.name] = launch
        return PretendEngine(card=card)

    def _measure(self) -> Machine:
        """What the models hold is not free."""
        held = [record["held_bytes"] for record in self.supervisor.report() if record["state"] != "stopped"]
        taken = [sum(each[device] for each in held) for device in range(len(self._machine.gpus) + 1)]
        cards = [
            replace(gpu, free_bytes=gpu.free_bytes - mine) for gpu, mine in zip(self._machine.gpus, taken, strict=False)
        ]
        return replace(self._machine, gpus=tuple(cards))

    async def load(self, name: str) -> Launch:
        await self.supervisor.ready(name, quiet)
        return self.launches[name]

    def loaded(self) -> dict[str, list[float]]:
        """GiB on each device, by model."""
        return {
            record["model"]: [round(held / GIB, 1) for held in record["held_bytes"]]
            for record in self.supervisor.report()
        }


def quiet(_progress: LoadProgress) -> None:
    return None


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Well-known models, headers and holes."""
    folder = tmp_path_factory.mktemp("shapes")
    for name in ("llama-3.1-8b", "codellama-34b", "gpt-oss-20b", "qwen3-coder-30b"):
        shaped_gguf.write(folder / f"{name}.gguf", real_shapes()[name](), hollow=True)
    return folder


@pytest.fixture
async def begin(home: Path, shapes: Path) -> AsyncIterator[Begin]:
    paths = resolve_paths({"HEARTH_HOME": str(home)})
    paths.ensure()
    for file in shapes.iterdir():
        (paths.models / file.name).symlink_to(file)
    houses: list[House] = []

    def make(machine: Machine, **settings: float) -> House:
        houses.append(House(paths, machine, **settings))
        return houses[-1]

    yield make
    for house in houses:
        await house.supervisor.close()


async def test_two_models_share_a_card_that_has_room_for_both(begin: Begin) -> None:
    house = begin(describe_machine((48 * GIB,), 64 * GIB))
    for name in ("llama-3.1-8b", "gpt-oss-20b"):
        launch = await house.load(name)
        assert (launch.gpu_layers, launch.host_expert_layers, launch.tensor_split) == (-1, 0, ())
    assert list(house.loaded()) == ["llama-3.1-8b", "gpt-oss-20b"]


async def test_the_idle_one_goes_when_the_card_is_full(begin: Begin) -> None:
    house = begin(describe_machine((24 * GIB,), 64 * GIB))
    await house.load("llama-3.1-8b")
    await house.load("qwen3-coder-30b")
    assert list(house.loaded()) == ["qwen3-coder-30b"]
    assert house.launches["qwen3-coder-30b"].gpu_layers == -1


async def test_a_pinned_model_leaves_the_other_what_is_left(begin: Begin, home: Path) -> None:
    house = begin(describe_machine((16 * GIB,), 64 * GIB))
    await house.load("gpt-oss-20b")
    (resolve_paths({"HEARTH_HOME": str(home)}).models / "pins.json").write_text('["gpt-oss-20b"]')
    launch = await house.load("llama-3.1-8b")
    assert list(house.loaded()) == ["gpt-oss-20b", "llama-3.1-8b"]
    assert 0 <= launch.gpu_layers < 32


async def test_each_model_gets_a_card_of_its_own_where_there_are_two(begin: Begin) -> None:
    house = begin(describe_machine((16 * GIB, 16 * GIB), 64 * GIB))
    first = await house.load("gpt-oss-20b")
    second = await house.load("llama-3.1-8b")
    assert len(first.tensor_split) == len(second.tensor_split) == 2
    held = house.loaded()
    assert list(held) == ["gpt-oss-20b", "llama-3.1-8b"]
    for card in range(2):
        assert sum(each[card] for each in held.values()) < 15.5
    assert all(each[-1] < 3 for each in held.values()), "all layers are on cards"


async def test_a_context_that_nobody_asked_for_shrinks_before_layers_leave_the_card(begin: Begin) -> None:
    house = begin(describe_machine((8 * GIB,), 64 * GIB))
    launch = await house.load("llama-3.1-8b")
    assert launch.gpu_layers == -1
    assert launch.context < 16_384
    asked = begin(describe_machine((8 * GIB,), 64 * GIB), context=65_536)
    launch = await asked.load("llama-3.1-8b")
    assert launch.context == 65_536
    assert launch.gpu_layers >= 0


async def test_experts_go_to_the_ram_before_layers_do(begin: Begin) -> None:
    house = begin(describe_machine((12 * GIB,), 64 * GIB))
    launch = await house.load("qwen3-coder-30b")
    assert launch.gpu_layers == -1
    assert launch.host_expert_layers > 0


async def test_what_fits_nowhere_is_refused_with_what_would(begin: Begin) -> None:
    house = begin(describe_machine((), 16 * GIB))
    with pytest.raises(EngineFailed, match="codellama-34b does not fit into the memory") as refused:
        await house.load("codellama-34b")
    assert "smaller model" in refused.value.fix
    long = begin(describe_machine((), 16 * GIB), context=131_072)
    with pytest.raises(EngineFailed) as refused:
        await long.load("llama-3.1-8b")
    assert "HEARTH_CONTEXT=" in refused.value.fix


async def test_shared_memory_is_counted_once(begin: Begin) -> None:
    chip = Gpu(0, "Apple M4", "apple", 24 * GIB, 24 * GIB - 1, shared=True)
    house = begin(Machine((chip,), 32 * GIB, 28 * GIB, 8, (), True, None))
    await house.load("llama-3.1-8b")
    assert house.loaded()["llama-3.1-8b"][0] == 0.0
    await house.load("gpt-oss-20b")
    assert len(house.loaded()) == 2
    await house.load("qwen3-coder-30b")
    assert list(house.loaded()) == ["qwen3-coder-30b"]
    for device in await house.supervisor.memory():
        assert device["room_bytes"] >= 0
