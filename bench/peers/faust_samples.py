"""Faust with a message a sample: an agent that folds into a table with a changelog."""

from __future__ import annotations

import sys

import faust

from bench.peers.zscore import FIRST, Progress, arguments, decode, step


def main() -> None:
    asked, progress = arguments(), Progress()
    app = faust.App("bench-faust", broker=f"kafka://{asked.bootstrap}", datadir=asked.folder, web_enabled=False, topic_partitions=4)
    table = app.Table("z", partitions=4)
    topic = app.topic(asked.topic, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")

    @app.agent(topic)
    async def fold(stream: faust.StreamT) -> None:
        async for key, value in stream.items():
            name = key.decode()
            after, z = step(tuple(table.get(name, FIRST)), float(decode(value).value))
            table[name] = after
            progress.add(z)

    del fold
    sys.argv = [sys.argv[0], "worker", "-l", "error"]
    app.main()


if __name__ == "__main__":
    main()
