"""Every bound of the product, as `tests.faults.load.bounds` finds them: the tables it bounds, with the counters of what had no room.

A series is the counter's name and the values of its labels. One fold that several readers run is a table of each of them.
"""

from __future__ import annotations

BOOK, ADMISSION, VERIFICATION = "models/approvals/case.py", "models/admission/state.py", "models/verification/state.py"
LOG, INCIDENTS = "models/execution/log.py", "models/incidents/book.py"
CORRELATE, DETECT = "schemas/config/correlate.py", "schemas/config/detect.py"


def _stage(stage: str, *tables: str) -> tuple[str, ...]:
    return tuple(f"airra_{stage}_evicted_entries_total {table}" for table in tables)


def _execute(fold: str, *tables: str) -> tuple[str, ...]:
    return _stage("execute", *(f"{fold} {table}" for table in tables))


def _book(table: str) -> tuple[str, ...]:
    """approve, admit and execute each keep the approvals book."""
    return (*_stage("approve", table), *_stage("admit", table), *_execute("approvals", table))


def _log(*tables: str) -> tuple[str, ...]:
    """report keeps the log of actions, execute two of them: of its intents, and of its view."""
    return (*_stage("report", *tables), *_execute("intents", *tables), *_execute("actions", *tables))


def _api(*tables: str) -> tuple[str, ...]:
    return tuple(f"airra_api_evictions_total {table}" for table in tables)


COUNTED: dict[str, tuple[str, ...]] = {
    f"{BOOK}: MAX_CASES": _book("cases"),
    f"{BOOK}: MAX_PENDING": _book("open"),
    f"{BOOK}: MAX_FORGOTTEN": _book("forgotten"),
    f"{BOOK}: MAX_OVER": _book("over"),
    f"{BOOK}: MAX_COMMANDS": _book("verdicts"),
    f"{BOOK}: MAX_ARMINGS": _book("armings"),
    f"{BOOK}: MAX_CLUSTERS": _book("arming"),
    f"{BOOK}: MAX_UNDOS": _book("undos"),
    f"{BOOK}: MAX_POLICIES": _book("policies"),
    f"{ADMISSION}: MAX_KNOWN": _stage("admit", "known"),
    f"{ADMISSION}: MAX_LEASES": _stage("admit", "leases"),
    f"{ADMISSION}: MAX_WAITING": _stage("admit", "waiting"),
    f"{VERIFICATION}: MAX_INCIDENTS": _stage("verify", "pictures"),
    f"{VERIFICATION}: MAX_WATCHES": _stage("verify", "watches"),
    f"{VERIFICATION}: MAX_OUTCOMES": _stage("verify", "outcomes", "over", "unasked"),
    f"{VERIFICATION}: MAX_FEEDBACK": _stage("verify", "feedback", "feedback_ids"),
    f"{LOG}: MAX_CLOSED": _log("closed"),
    f"{LOG}: max_closed": _log("closed"),
    f"{LOG}: MAX_OPEN": _log("open", "started"),
    f"{LOG}: max_open": _log("open", "started"),
    "agents/execute/sides.py: KEPT_ENDS": _execute("actions", "closed"),
    f"{INCIDENTS}: capacity": _execute("incidents", "pages"),
    f"{INCIDENTS}: FEEDBACK_KEPT": _execute("incidents", "feedback"),
    f"{INCIDENTS}: ACTIONS_KEPT": _execute("incidents", "actions"),
    "agents/reason/cases.py: CASES_KEPT": tuple(f"airra_reason_evicted_cases_total {table}" for table in ("cases", "resolved")),
    "agents/reason/llm/effector.py: PENDING_KEPT": ("airra_llm_evictions_total pending",),
    "agents/reason/llm/effector.py: ANSWERED_KEPT": ("airra_llm_evictions_total answered",),
    "agents/tell.py: OPEN_KEPT": ("airra_tell_evictions_total open",),
    "agents/tell.py: CLOSED_KEPT": ("airra_tell_evictions_total closed",),
    f"{CORRELATE}: max_incidents": _stage("correlate", "incidents_refused"),
    f"{CORRELATE}: max_services": _stage("correlate", "health"),
    f"{CORRELATE}: max_suspects": _stage("correlate", "suspects"),
    f"{CORRELATE}: max_tracked": _stage("correlate", "waiting", "alerts", "changes"),
    "models/correlation/state.py: ENDED_KEPT": _stage("correlate", "ended"),
    "models/correlation/size.py: MAX_BYTES": _stage("correlate", "record_alerts"),
    f"{DETECT}: max_series": ("airra_detect_evicted_series_total", "airra_detect_definitions_total series_above_cap"),
    f"{DETECT}: max_series_per_source": ("airra_detect_definitions_total source_above_cap",),
    f"{DETECT}: max_values_per_label": ("airra_detect_definitions_total label_above_cap",),
    f"{DETECT}: max_sources": ("airra_detect_evicted_sources_total",),
    f"{DETECT}: max_leaks": ("airra_detect_evicted_leaks_total",),
    f"{DETECT}: max_buckets": ("airra_detect_definitions_total bucket_above_cap",),
    "streams/dedup.py: CAPACITY": ("airra_dedup_evicted_fingerprints_total",),
    "streams/dedup.py: MARKS": ("airra_dedup_evicted_marks_total",),
    "streams/normalise/cache.py: CAPACITY": ("airra_normalise_cache_evictions_total series",),
    "streams/normalise/times.py: MEMO_SIZE": ("airra_normalise_cache_evictions_total timestamps",),
    "streams/normalise/series.py: MAPPED_NAMES": ("airra_normalise_cache_evictions_total names",),
    "streams/normalise/outputs.py: UNKNOWN_METRICS": ("airra_normalise_untold_metrics_total",),
    "api/read_model.py: OF_ONE": _api("proposals_of_one", "actions_of_one"),
    "api/read_model.py: KEPT": (
        *_api("proposals", "decisions", "explanations", "of_incident", "promised", "of_proposal", "doings", "outcomes"),
        *_api("approvals", "incidents", "actions"),  # the shared folds of its views
    ),
    "models/calibration.py: KEPT": _api("calibration"),
}

# What is full makes its writer wait, ends something before its time, or forgets what can be had again: nothing is lost, and a test shows
# it at its bound.
WAITED_FOR: dict[str, str] = {
    "api/said.py: KEPT": "tests/unit/test_api_said.py::test_the_oldest_words_are_forgotten_but_none_on_its_way",
    "streams/normalise/cache.py: SERVICES": "tests/unit/test_normalise_parts.py::test_the_partitions_of_so_many_services_are_remembered",
    "streams/normalise/columnar.py: CAPACITY": "tests/unit/test_normalise_columnar.py::test_a_table_that_is_full_begins_anew",
    "streams/normalise/formats/registry.py: MOST_SCHEMAS": (
        "tests/unit/test_format_registry.py::test_only_so_many_schemas_are_kept_the_longest_unused_goes"
    ),
    "models/detection/evidence.py: LEAST_KEPT": (
        "tests/property/test_health_record.py::test_evidence_written_by_compiled_code_is_what_the_encoder_writes"
    ),
    "models/detection/series/buckets.py: LEAST_BOUNDS": (
        "tests/unit/test_detect_rows.py::test_of_more_buckets_than_a_histogram_may_have_the_highest_are_kept"
    ),
    "streams/normalise/formats/remote_write_count.py: KNOWN_KEYS": (
        "tests/unit/test_format_remote_write_count.py::test_what_is_known_of_labels_is_bounded"
    ),
    "models/pages.py: OPEN": "tests/unit/test_pages.py::test_it_is_a_dict_in_the_order_of_its_rows",
    f"{DETECT}: max_pending": "tests/unit/test_detect_rows.py::test_too_many_waiting_rows_close_the_oldest_windows",
    "streams/harness/worker.py: UNACKED_OUTPUTS": "tests/unit/test_harness_worker.py::test_a_fold_waits_where_too_much_is_not_acknowledged",
    "streams/sink/consumer.py: BATCH_RECORDS": (
        "tests/unit/test_sink_consumer.py::test_while_the_store_is_away_nothing_is_lost_committed_or_taken_in_without_bound"
    ),
}

# Bounds of one text, record, answer or number; no table grows with them.
OF_ONE_THING: dict[str, str] = {
    "agents/execute/executors/facts.py: MAX_FLAGS": "flags of one target, as one look at it tells",
    "agents/execute/executors/facts.py: MAX_WORKERS": "a number",
    "agents/execute/executors/http_control.py: MAX_ANSWER_BYTES": "one answer",
    "agents/execute/executors/http_control.py: MAX_DETAIL": "one text",
    "agents/reason/llm/answer.py: MAX_TOKENS_COUNTED": "a number",
    "agents/reason/llm/anthropic_explainer.py: MAX_TOKENS": "one answer",
    "agents/reason/llm/openai_explainer.py: MAX_TOKENS": "one answer",
    "agents/reason/llm/material.py: LIMIT": "one text",
    "api/limits.py: MAX_BODY": "one request",
    "schemas/config/paths.py: MOST_STEPS": "steps of one path",
    "streams/normalise/formats/buckets.py: MAX_BOUNDS": "buckets of one histogram",
    "streams/normalise/formats/cloudevents.py: MAX_EVENTS": "events of one record",
    "streams/normalise/formats/cloudevents.py: MAX_RECORD_BYTES": "one record",
    "streams/normalise/formats/confluent.py: MAX_RECORD_BYTES": "one record",
    "streams/normalise/formats/documents.py: SHOWN_MEMBERS": "names in one sentence",
    "streams/normalise/formats/harvest.py: MAX_ALL_KEYS_BYTES": "keys of one record",
    "streams/normalise/formats/harvest.py: MAX_ITEMS": "samples of one record",
    "streams/normalise/formats/harvest.py: MAX_KEY_BYTES": "one key",
    "streams/normalise/formats/influx_line.py: _LONGEST_NUMBER": "one number",
    "streams/normalise/formats/mapped_json.py: MAX_KEY_BYTES": "one key",
    "streams/normalise/formats/mapped_json.py: MAX_RECORD_BYTES": "one record",
    "streams/normalise/formats/mapped_json.py: MAX_SAMPLES": "samples of one record",
    "streams/normalise/formats/native_histogram.py: MAX_BYTES": "one histogram",
    "streams/normalise/formats/otlp_json.py: MAX_BYTES": "one record",
    "streams/normalise/formats/otlp_json_points.py: MAX_BYTES": "one data point",
    "streams/normalise/formats/otlp_proto_points.py: MAX_BYTES": "one data point",
    "streams/normalise/formats/otlp_values.py: MAX_DEPTH": "one attribute",
    "streams/normalise/formats/registry.py: MAX_ANSWER_BYTES": "one answer",
    "streams/normalise/formats/registry.py: MOST_UNKNOWN": "ids that a registry does not know, for a minute: beyond it none is asked for, and what needs one is a dead letter",
    "streams/normalise/formats/remote_write.py: MAX_BYTES": "one record",
    "models/correlation/evidence.py: MAX_ALERTS": "alerts of one record; the table has its own cap",
    "models/correlation/evidence.py: MAX_CHANGES": "changes of one record; the table has its own cap",
    "models/correlation/notices.py: NAMED": "names in one sentence",
    "models/correlation/state.py: MAX_SOURCES": "positions of one record: the newest say enough",
    f"{CORRELATE}: max_hops": "a distance",
    f"{CORRELATE}: max_points": "points of one reading in one record",
    f"{CORRELATE}: max_readings": "readings of one record",
    "models/detection/evidence_kernel.py: PIECES": "of one text",
    "models/detection/judge_kernel.py: MAX_Z": "a number",
    f"{DETECT}: MAX_POINTS": "a ring of the newest of one series",
    "models/ranking/rank.py: MAX_HYPOTHESES": "hypotheses of one proposal",
    "models/ranking/readings.py: FEWEST": "points of one reading",
    "models/ranking/readings.py: MAX_RATIO": "a number",
    "models/ranking/readings.py: MAX_Z": "a number",
    "models/ranking/readings.py: RECENT": "points of one reading",
    "models/runbooks/candidates.py: MAX_CANDIDATES": "candidates of one proposal",
    "schemas/config/runbooks.py: max_proposals": "proposals for one incident",
    "streams/harness/dlq.py: HEADERS_KEPT": "one letter",
    "streams/harness/memory.py: KEPT": "bytes of the heap's end",
    "streams/harness/kafka.py: MAX_REQUEST_BYTES": "one request",
    "streams/harness/topics.py: KAFKA_MAX_MESSAGE_BYTES": "one record",
    "streams/normalise/alertmanager.py: MAX_WEBHOOK_BYTES": "one record",
    "streams/normalise/cache.py: CAPACITY_BYTES": "the same cache as CAPACITY, whose turns it brings earlier",
    "streams/normalise/cache.py: KEYS_AT_ONCE": "what is looked up at once; none of it is held",
    "streams/normalise/changes.py: MAX_CHANGE_BYTES": "one record",
    "streams/normalise/consumer.py: BATCH_RECORDS": "what is asked for at once; nothing is held from one batch to the next",
    "streams/normalise/consumer.py: ERRORS": "words for an explanation; the newest say enough",
    "streams/normalise/outputs.py: BATCH_SOURCES": "one record",
    "streams/normalise/prometheus_kafka_adapter.py: MAX_SAMPLE_BYTES": "one record",
    "streams/sink/dead.py: _TEXT_LIMIT": "one text",
}
