"""Where tasks stand is told by their innermost calls."""

import asyncio

from streams.harness.standing import FRAMES, standing


async def hold(event):
    await event.wait()


async def carry(event, depth):
    await (carry(event, depth - 1) if depth else hold(event))


async def test_a_task_that_waits_is_told_with_its_innermost_calls_first():
    event = asyncio.Event()
    tasks = [asyncio.create_task(carry(event, 10)), asyncio.create_task(carry(event, 10)), asyncio.create_task(hold(event))]
    await asyncio.sleep(0)
    lines = standing(asyncio.get_running_loop())
    (deep,) = [line for line in lines if "carry" in line]
    assert deep.startswith("2 × locks.py:")
    names = [place.split()[-1] for place in deep.split(" < ")]
    assert names == ["Event.wait", "hold", *["carry"] * (FRAMES - 2)]
    assert len(names) == FRAMES
    assert any("Event.wait < " in line and line.count(" < ") == 1 for line in lines if "carry" not in line and "hold" in line)
    event.set()
    await asyncio.gather(*tasks)


async def test_a_future_and_what_is_over_are_passed_over():
    done = asyncio.create_task(asyncio.sleep(0))
    await done
    assert all("sleep" not in line for line in standing(asyncio.get_running_loop()))
