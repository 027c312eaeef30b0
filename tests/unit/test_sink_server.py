"""The read-only HTTP interface of the embedded store: what clients need works, and nothing else does."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from schemas.topics import OUTCOMES
from streams.harness.errors import Fatal
from streams.sink.batch import Batch
from streams.sink.guard import RefusedError, check
from streams.sink.server import StoreServer
from streams.sink.store import Store, connect, open_store
from tests.unit.sink_records import Log, outcome, whole_loop

TABLE_FUNCTIONS = frozenset({"file", "url", "numbers", "s3", "remote", "values"})


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = open_store("", "", tmp_path_factory.mktemp("store"))
    opened.migrate()
    batch = Batch()
    for record in whole_loop().records:
        batch.add(record)
    batch.write(opened)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def server(store: Store) -> Iterator[StoreServer]:
    running = StoreServer(store)
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def client(server: StoreServer) -> Iterator[Any]:
    opened = connect(server.url)
    yield opened
    opened.close()


def raw(server: StoreServer, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(*server.address, timeout=30)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


def test_a_stock_client_connects_and_reads(server: StoreServer) -> None:
    host, port = server.address
    stock = clickhouse_connect.get_client(host=host, port=port)
    assert stock.ping()
    assert str(stock.server_tz) == "UTC"
    assert stock.query("SELECT action, verdict, confidence FROM outcomes").result_rows == [("act-1", "success", 0.82)]
    assert stock.command("SELECT count() FROM hypotheses") == 2
    stock.close()


def test_values_travel_as_parameters_whatever_they_hold(client: Any) -> None:
    nasty = "x'\t\\ \n`\"; DROP TABLE outcomes --"
    query = "SELECT {text:String} AS text, {list:Array(UInt8)} AS list"
    assert client.query(query, parameters={"text": nasty, "list": [1, 2]}).result_rows == [(nasty, [1, 2])]
    assert client.query("SELECT %(text)s", parameters={"text": nasty}).result_rows == [(nasty,)]
    assert client.query("SELECT length({text:String})", parameters={"text": "z" * 50_000}).result_rows == [(50_000,)]
    assert client.query("SELECT 'a;b' /* ; */ -- ;\n AS x").result_rows == [("a;b",)]


def test_formats_and_columns_are_as_a_server_gives_them(client: Any, server: StoreServer) -> None:
    assert client.query("SELECT action, confidence FROM outcomes LIMIT 0").column_names == ("action", "confidence")
    assert client.raw_query("SELECT 1 AS x", fmt="JSONEachRow") == b'{"x":1}\n'
    status, headers, body = raw(server, "GET", "/?query=SELECT%201%20AS%20x&default_format=JSONCompact")
    assert (status, headers["X-ClickHouse-Format"], headers["X-ClickHouse-Timezone"]) == (200, "JSONCompact", "UTC")
    assert b'"data"' in body
    assert raw(server, "POST", "/?query=SELECT", b"1+1")[2] == b"2\n"
    assert raw(server, "GET", "/ping")[2] == b"Ok.\n"
    assert raw(server, "GET", "/")[2] == b"Ok.\n"


def test_a_row_that_was_written_twice_is_read_once_by_a_plain_select(store: Store, client: Any) -> None:
    batch = Batch()
    batch.add(Log().append(OUTCOMES, outcome()))
    batch.write(store)
    batch.write(store)
    assert client.command("SELECT count() FROM outcomes") == 1


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO outcomes (id) VALUES ('x')",
        "INSERT INTO outcomes (id) SELECT 'x'",
        "DROP TABLE outcomes",
        "TRUNCATE TABLE outcomes",
        "ALTER TABLE outcomes DELETE WHERE 1",
        "CREATE TABLE x (a UInt8) ENGINE = Memory",
        "CREATE TEMPORARY TABLE x (a UInt8)",
        "CREATE FUNCTION f AS x -> x",
        "OPTIMIZE TABLE outcomes FINAL",
        "SYSTEM FLUSH LOGS",
        "KILL QUERY WHERE 1",
        "SET readonly = 0",
        "USE system",
        "GRANT ALL ON *.* TO default",
        "BACKUP TABLE outcomes TO File('/tmp/x')",
        "EXECUTE AS default SELECT 1",
        "SELECT 1 SETTINGS readonly = 0",
        "SELECT 1 SETTINGS max_execution_time = 0",
        "SELECT 1; DROP TABLE outcomes",
        "SELECT 1 PARALLEL WITH DROP TABLE outcomes",
    ],
)
def test_whatever_would_change_something_is_refused(client: Any, statement: str) -> None:
    with pytest.raises(DatabaseError) as refusal:
        client.command(statement)
    assert refusal.value.code in {62, 164}, str(refusal.value)
    assert client.command("SELECT count() FROM outcomes") == 1


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("outside") / "secret.txt"
    path.write_text("the secret\n")
    return path


@pytest.mark.parametrize(
    "query",
    [
        "SELECT file('{path}')",
        "SELECT `file`('{path}')",
        "SELECT FILE('{path}')",
        "SELECT /**/ file /**/ ('{path}')",
        "SELECT s.* APPLY file FROM (SELECT '{path}' AS p) AS s",
        "SELECT arrayMap(file, ['{path}'])",
        "SELECT arrayMap(x -> file(x), ['{path}'])",
        "WITH file('{path}') AS f SELECT f",
        "SELECT * FROM file('{path}', 'LineAsString')",
        "SELECT * FROM '{path}'",
        "SELECT * FROM `{path}`",
        "SELECT * FROM default.`{path}`",
        "SELECT 1 WHERE 'the secret' IN file('{path}', 'LineAsString')",
        "DESCRIBE TABLE file('{path}')",
        "DESCRIBE TABLE '{path}'",
        "EXPLAIN SELECT file('{path}')",
        "EXPLAIN AST SELECT 1 INTO OUTFILE '{path}.out'",
        "SELECT 1 INTO OUTFILE '{path}.out'",
        "SELECT 1 INTO /**/ OUTFILE '{path}.out'",
        "SELECT * FROM eval('SELECT file(''{path}'')')",
        "SELECT * FROM viewExplain('EXPLAIN', '', (SELECT file('{path}')))",
        "SELECT * FROM python('sys')",
        "SELECT * FROM Python(secret)",
        "SELECT * FROM executable('cat {path}', 'LineAsString', 'a String')",
        "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString', 'a String')",
        "SELECT * FROM s3('https://bucket.s3.amazonaws.com/key')",
        "SELECT * FROM deltaLake('https://bucket.s3.amazonaws.com/key')",
        "SELECT * FROM remote('127.0.0.1', 'system.one')",
        "SELECT * FROM cluster('default', system.one)",
        "SELECT * FROM mysql('127.0.0.1:1', 'd', 't', 'u', 'p')",
        "SELECT * FROM sqlite('{path}', 't')",
        "SELECT * FROM filesystem('{path}')",
        "SELECT aiGenerate('x')",
        "SELECT count() FROM system.stack_trace",
    ],
)
def test_nothing_beyond_the_store_can_be_read_or_written(client: Any, secret: Path, query: str) -> None:
    with pytest.raises(DatabaseError) as refusal:
        client.raw_query(query.replace("{path}", str(secret)), fmt="TSV")
    assert refusal.value.code in {164, 446}, str(refusal.value)
    assert "the secret" not in str(refusal.value)
    assert [path.name for path in secret.parent.iterdir()] == ["secret.txt"]


def test_ordinary_analysis_is_not_refused(client: Any) -> None:
    for query in (
        "WITH x AS (SELECT number FROM numbers(3)) SELECT sum(number) FROM x",
        "(SELECT 1) UNION ALL (SELECT 2)",
        "SELECT 'file(''x'') INTO OUTFILE' AS text",
        "SELECT service, quantile(0.5)(confidence) FROM outcomes GROUP BY service ORDER BY 2 LIMIT 1 BY service",
        "SELECT toDate(at), formatDateTime(at, '%H:%i'), format('{}-{}', action, verdict) FROM outcomes",
        "SHOW TABLES",
        "SHOW CREATE TABLE outcomes",
        "DESCRIBE TABLE outcomes",
        "EXISTS TABLE outcomes",
        "EXPLAIN SELECT * FROM outcomes",
        "SELECT * FROM values('a UInt8', 1, 2)",
    ):
        assert client.raw_query(query, fmt="TSV") != b""


def test_an_error_carries_clickhouse_s_code_and_a_readable_message(server: StoreServer) -> None:
    for query, status, code in (
        ("SELEC 1", 400, "62"),
        ("SELECT * FROM nosuch", 404, "60"),
        ("SELECT nosuch", 400, "47"),
        ("DROP TABLE x", 403, "164"),
    ):
        answer = raw(server, "POST", "/", query.encode())
        assert (answer[0], answer[1]["X-ClickHouse-Exception-Code"]) == (status, code)
        assert b"formatQuery" not in answer[2]
    assert raw(server, "POST", "/?database=nosuch", b"SELECT 1")[1]["X-ClickHouse-Exception-Code"] == "81"
    assert raw(server, "POST", "/?max_threads=9", b"SELECT 1")[1]["X-ClickHouse-Exception-Code"] == "164"
    assert raw(server, "POST", "/", b"")[0] == 400


def test_another_database_can_be_asked_and_does_not_stick(server: StoreServer) -> None:
    for _ in range(6):
        assert raw(server, "POST", "/?database=system", b"SELECT count() FROM one")[2] == b"1\n"
        assert raw(server, "POST", "/", b"SELECT currentDatabase()")[2] == b"default\n"


def test_malformed_requests_get_an_answer_and_the_server_lives(server: StoreServer) -> None:
    assert raw(server, "POST", "/", b"\xff\xfe")[0] == 400
    assert raw(server, "POST", "/", b"SELECT 1", Content_Length="9999999999")[0] == 400
    assert raw(server, "POST", "/", b"SELECT 1", Content_Length="x")[0] == 400
    assert raw(server, "POST", "/", b"\x1f\x8b", Content_Encoding="gzip")[0] == 403
    assert raw(server, "POST", "/play", b"SELECT 1")[0] == 400
    assert raw(server, "DELETE", "/")[0] == 501
    with socket.create_connection(server.address, timeout=5) as broken:
        broken.sendall(b"nonsense\r\n\r\n")
        assert b"400" in broken.recv(4096)
    assert raw(server, "POST", "/", b"SELECT 1")[2] == b"1\n"


def test_a_body_in_chunks_is_read(server: StoreServer) -> None:
    connection = http.client.HTTPConnection(*server.address, timeout=30)
    connection.request("POST", "/", iter([b"SELECT ", b"40", b" + 2"]), encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
    assert connection.getresponse().read() == b"42\n"
    connection.close()


def test_a_page_that_rebinds_its_name_to_this_machine_gets_nothing(server: StoreServer) -> None:
    status, _, body = raw(server, "GET", "/?query=SELECT%201", Host="evil.example")
    assert status == 400
    assert b"not this machine" in body


def test_a_result_that_is_too_large_ends_in_an_error(client: Any) -> None:
    with pytest.raises(DatabaseError) as refusal:
        client.query("SELECT number FROM numbers(5000000)")
    assert refusal.value.code == 396


def test_what_a_failed_query_had_written_never_stands_in_the_next_answer(server: StoreServer) -> None:
    for _ in range(8):
        assert raw(server, "POST", "/", b"SELECT throwIf(number = 70000), number FROM numbers(100000)")[0] == 500
        assert raw(server, "POST", "/", b"SELECT 1")[2] == b"1\n"


def test_readers_and_the_writer_work_at_the_same_time(store: Store, server: StoreServer) -> None:
    log = Log()
    for number in range(40):
        log.append(OUTCOMES, outcome(f"busy-{number}", correct=None))
    failures: list[BaseException] = []

    def read() -> None:
        try:
            reader = connect(server.url)
            seen = 0
            while seen < 40:
                now = reader.command("SELECT count() FROM outcomes WHERE startsWith(action, 'busy-')")
                assert now >= seen
                seen = now
                assert time.monotonic() < deadline
            reader.close()
        except BaseException as error:
            failures.append(error)

    deadline = time.monotonic() + 30
    readers = [threading.Thread(target=read) for _ in range(6)]
    for thread in readers:
        thread.start()
    for record in log.records:
        batch = Batch()
        batch.add(record)
        batch.write(store)
    for thread in readers:
        thread.join(timeout=40)
    assert failures == []
    store.client.command("ALTER TABLE outcomes DELETE WHERE startsWith(action, 'busy-') SETTINGS mutations_sync = 1")


def test_a_taken_port_and_a_store_elsewhere_are_clear_errors(store: Store, server: StoreServer, tmp_path: Path) -> None:
    with pytest.raises(Fatal, match="cannot listen"):
        StoreServer(store, *server.address).start()
    with pytest.raises(Fatal, match="straight"):
        StoreServer(open_store("http://127.0.0.1:1/", "", tmp_path)).start()
    with pytest.raises(Fatal, match="not been started"):
        _ = StoreServer(store).address


@pytest.mark.parametrize(
    "text", ["SELECT `fi\\le`('x')", "SELECT \"file\"('x')", "SELECT url ('x')", "SELECT '\\'' , file('x')", "FROM x", ""]
)
def test_the_guard_reads_names_however_they_are_quoted(text: str) -> None:
    with pytest.raises(RefusedError):
        check(text, TABLE_FUNCTIONS)


@pytest.mark.parametrize(
    "text", ["SELECT 'file(1)'", "SELECT '\\'file(1)'", "SELECT url FROM x", "SELECT * FROM numbers(3)", "SELECT air(1)"]
)
def test_the_guard_lets_text_and_columns_pass(text: str) -> None:
    if "air(" in text:
        with pytest.raises(RefusedError):
            check(text, TABLE_FUNCTIONS)
    else:
        check(text, TABLE_FUNCTIONS)
