"""Connection settings of every client, and errors in words."""

from confluent_kafka import KafkaError

from schemas.settings import Settings
from streams.harness.kafka import KafkaSettings, explain
from streams.harness.readiness import Readiness

SECURE = KafkaSettings("a:1,b:2", "SASL_PLAINTEXT", "SCRAM-SHA-256", "me", "s3cret")


def test_the_password_is_in_no_text() -> None:
    assert "s3cret" not in repr(SECURE)
    assert "s3cret" not in str(SECURE)
    assert "s3cret" not in explain(SECURE, [KafkaError(KafkaError._AUTHENTICATION)])


def test_every_client_gets_the_same_login() -> None:
    confluent, aiokafka, faust = SECURE.confluent(), SECURE.aiokafka(), SECURE.faust()
    assert (confluent["sasl.username"], confluent["sasl.password"], confluent["sasl.mechanism"]) == ("me", "s3cret", "SCRAM-SHA-256")
    assert (aiokafka["sasl_plain_username"], aiokafka["sasl_plain_password"]) == ("me", "s3cret")
    credentials = faust["broker_credentials"]
    assert (credentials.username, credentials.password, credentials.mechanism.value) == ("me", "s3cret", "SCRAM-SHA-256")
    assert faust["broker"] == "kafka://a:1;kafka://b:2"


def test_settings_are_carried_over() -> None:
    settings = Settings(kafka_bootstrap="k:9", kafka_security_protocol="SASL_SSL", kafka_sasl_username="u", kafka_sasl_password="p")  # type: ignore[arg-type]
    kafka = KafkaSettings.of(settings)
    assert (kafka.bootstrap, kafka.security_protocol, kafka.sasl_username, kafka.sasl_password) == ("k:9", "SASL_SSL", "u", "p")
    assert kafka.sasl
    assert kafka.tls


def test_the_most_telling_error_is_named() -> None:
    login = explain(SECURE, [KafkaError(KafkaError._ALL_BROKERS_DOWN), KafkaError(KafkaError._AUTHENTICATION)])
    assert "refuses the login of 'me'" in login
    assert "AIRRA_KAFKA_SASL_PASSWORD" in login
    absent = explain(SECURE, [KafkaError(KafkaError._TRANSPORT)])
    assert absent.startswith("no Kafka at a:1,b:2")
    assert "AIRRA_KAFKA_BOOTSTRAP" in absent


def test_readiness_needs_every_part_and_gives_reasons() -> None:
    readiness = Readiness()
    assert readiness.report() == (False, {})
    readiness.set("detect", True)
    readiness.set("execute", False, "waits for arming: airra act arm")
    assert readiness.report() == (False, {"detect": "ready", "execute": "waits for arming: airra act arm"})
    readiness.set("execute", True, "standby")
    assert readiness.report() == (True, {"detect": "ready", "execute": "standby"})
