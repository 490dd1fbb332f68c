import pytest

from hearth.agent.approval import Gate, Mode, decide
from hearth.messages import ToolCall
from hearth.tools.tool import ToolResult


class Open:
    """Tools that do whatever they are told."""

    def label(self, call: ToolCall) -> str:
        return f"label of {call.name}"

    async def run(self, call: ToolCall) -> ToolResult:
        return ToolResult("done")


@pytest.mark.parametrize("tool", ["read", "grep", "glob"])
@pytest.mark.parametrize("mode", ["plan", "ask", "auto"])
def test_looking_is_always_allowed(mode: Mode, tool: str) -> None:
    assert decide(mode, tool) == "allow"


@pytest.mark.parametrize(("mode", "verdict"), [("plan", "deny"), ("ask", "ask"), ("auto", "allow")])
@pytest.mark.parametrize("tool", ["write", "edit", "bash", "something new"])
def test_all_else_depends_on_the_mode(mode: Mode, verdict: str, tool: str) -> None:
    assert decide(mode, tool) == verdict


@pytest.mark.parametrize("answer", [True, False])
async def test_a_person_decides(answer: bool) -> None:
    asked: list[str] = []

    async def ask(call: ToolCall, label: str) -> bool:
        asked.append(label)
        return answer

    gate = Gate(Open(), "ask", ask)
    result = await gate.run(ToolCall("c", "bash", "{}"))
    assert asked == ["label of bash"]
    assert result.failed is not answer
    assert gate.unasked == 0


async def test_nobody_to_ask_is_counted() -> None:
    gate = Gate(Open(), "ask", None)
    assert "nobody is there to ask" in (await gate.run(ToolCall("c", "bash", "{}"))).for_model
    assert not (await gate.run(ToolCall("c", "read", "{}"))).failed
    assert gate.unasked == 1


async def test_plan_mode_says_why() -> None:
    gate = Gate(Open(), "plan", None)
    assert "plan mode" in (await gate.run(ToolCall("c", "write", "{}"))).for_model
    assert gate.unasked == 0
