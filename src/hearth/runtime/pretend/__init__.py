"""An engine that only pretends: it speaks llama-server's HTTP, plays a script, and fails as the script says."""

from hearth.runtime.pretend.child import PretendProcess
from hearth.runtime.pretend.engine import PretendEngine
from hearth.runtime.pretend.script import Answer, Call, Fault, Health, Load, Script

__all__ = ["Answer", "Call", "Fault", "Health", "Load", "PretendEngine", "PretendProcess", "Script"]
