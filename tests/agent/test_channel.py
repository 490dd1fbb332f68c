from hearth.agent.channel import MOST_WAITING, Channel
from hearth.events import Event, Progress


def note(number: int) -> Progress:
    return Progress("starting", note=str(number))


def test_what_nobody_heard_is_told_to_the_next() -> None:
    channel, one, other = Channel(), list[Event](), list[Event]()
    channel.emit(note(1))
    channel.listen(one.append)
    channel.emit(note(2))
    channel.listen(None)
    channel.emit(note(3))
    channel.listen(other.append)
    channel.emit(note(4))
    assert (one, other) == ([note(1), note(2)], [note(3), note(4)])


def test_only_the_latest_wait() -> None:
    channel, heard = Channel(), list[Event]()
    for number in range(MOST_WAITING + 1):
        channel.emit(note(number))
    channel.listen(heard.append)
    assert heard[0] == note(1)
    assert len(heard) == MOST_WAITING
