"""A stand-in for the API server of Kubeflow Pipelines.

It answers the v2beta1 requests that the command makes, keeps what it is given in memory, and is as strict as the real
one or stricter: a request body has to be what the models of kfp-server-api describe, key by key.
"""

import contextlib
import email
import json
import re
import ssl
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import kfp_server_api
import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

PLAIN = {"str": str, "bool": bool, "int": int, "object": (dict, list, str, int, float, bool), "datetime": str}
LISTING = {"page_token", "page_size", "sort_by", "filter", "namespace"}
MOST_PARAMETERS, MOST_NAME = 10_000, 128  # characters that the real server's code and database allow
PAGE = 2  # the real server gives fewer than it is asked for, too
LOGIN_PAGE = (200, "<!doctype html><title>Log in to Your Account</title>", {"Content-Type": "text/html"})


class Refused(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def check(body: Any, kind: str, where: str = "body") -> None:
    """Refuses what a model of kfp-server-api does not describe: unknown keys, wrong types, unknown words of an enum."""
    if inner := re.fullmatch(r"list\[(.*)\]", kind):
        for index, each in enumerate(body):
            check(each, inner[1], f"{where}[{index}]")
    elif inner := re.fullmatch(r"dict\(str, (.*)\)", kind):
        for key, each in body.items():
            check(each, inner[1], f"{where}.{key}")
    elif kind in PLAIN:
        if not isinstance(body, PLAIN[kind]):
            raise Refused(400, f"{where}: {body!r} is not a {kind}")
    else:
        _check_model(body, getattr(kfp_server_api, kind), where)


def _check_model(body: Any, model: Any, where: str) -> None:
    if hasattr(model, "allowable_values"):
        if body not in model.allowable_values:
            raise Refused(400, f"{where}: {body!r} is not one of {model.allowable_values}")
        return
    kinds = {key: model.openapi_types[attribute] for attribute, key in model.attribute_map.items()}
    for key, each in body.items():
        if key not in kinds:
            raise Refused(400, f"{where}: {model.__name__} has no {key}")
        # An int64 is a text in protobuf's JSON, and read from a number too.
        check(str(each) if key == "max_concurrency" else each, kinds[key], f"{where}.{key}")


@dataclass
class Fault:
    """What a request that matches is answered with instead.

    Attributes:
        pattern: searched in `METHOD /path`.
        status: of the answer; None breaks the connection.
        body: of the answer.
        headers: of the answer.
        seconds: to wait before it.
        late: only after the request has had its effect.
        after: how many requests pass before.
        times: how many requests are answered so.
    """

    pattern: str
    status: int | None = 500
    body: str = '{"error": "boom", "code": 13, "message": "Internal Server Error: boom"}'
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})
    seconds: float = 0
    late: bool = False
    after: int = 0
    times: int = 1000

    def strikes(self, asked: str) -> bool:
        """Whether this request is the one."""
        if not self.times or not re.search(self.pattern, asked):
            return False
        if self.after:
            self.after -= 1
            return False
        self.times -= 1
        return True


class KfpServer:
    """What the server holds, and how it is to behave.

    Attributes:
        multi_user: whether each user has a namespace.
        token: the one that is accepted; any or none if None.
        wanted: headers without which a caller is sent to a login page.
        namespaces: those that the caller may use.
        faults: looked through in order.
        asked: every request, as `METHOD /path`.
        headers: those of the latest request.
        balance: after each change, how many recurring runs there are, and how many of them are on.
        lost: runs that were under way when their recurring run was deleted.
        progress: what becomes of a run: a state and task states, one for each time that it is asked about.
    """

    def __init__(self) -> None:
        self.multi_user = False
        self.token: str | None = None
        self.wanted: Mapping[str, str] = {}
        self.namespaces: set[str] | None = None
        self.faults: list[Fault] = []
        self.asked: list[str] = []
        self.headers: Mapping[str, str] = {}
        self.balance: list[tuple[int, int]] = []
        self.lost: list[str] = []
        self.progress: list[tuple[str, dict[str, str]]] = [("SUCCEEDED", {})]
        self.pipelines: dict[str, dict[str, Any]] = {}
        self.versions: dict[str, dict[str, Any]] = {}
        self.experiments: dict[str, dict[str, Any]] = {}
        self.runs: dict[str, dict[str, Any]] = {}
        self.recurring: dict[str, dict[str, Any]] = {}
        self.url = ""
        self._clock = datetime(2026, 11, 21, tzinfo=UTC)

    def changes(self) -> list[str]:
        """The requests that were to change something."""
        return [asked for asked in self.asked if not asked.startswith("GET")]

    def start_scheduled(self, recurring_run_id: str, state: str = "RUNNING") -> str:
        """A schedule's time has come."""
        recurring = self.recurring[recurring_run_id]
        kept = {key: recurring[key] for key in ("experiment_id", "pipeline_version_reference")}
        name = f"Run of {recurring['display_name']}"
        return self._keep(
            self.runs, "run_id", {"display_name": name, "recurring_run_id": recurring_run_id, "state": state, **kept}
        )["run_id"]

    def answer(self, method: str, path: str, query: dict[str, str], content: bytes, kind: str) -> Any:
        """Does what a request asks for."""
        for pattern, do, allowed in ROUTES:
            if match := re.fullmatch(pattern, f"{method} {path}"):
                if unknown := set(query) - allowed:
                    raise Refused(400, f"unknown in the query: {unknown}")
                self._authorise(query.get("namespace"))
                if "multipart" in kind:
                    return getattr(self, do)(query, _uploaded(content, kind))
                return getattr(self, do)(query, *match.groups(), *([json.loads(content)] if content else []))
        raise Refused(404, "")

    def _authorise(self, namespace: str | None) -> None:
        if namespace and self.namespaces is not None and namespace not in self.namespaces:
            raise Refused(403, f"User 'me' is not authorized with reason: not in namespace {namespace}")

    def _keep(self, where: dict[str, dict[str, Any]], key: str, body: Mapping[str, Any]) -> dict[str, Any]:
        if len(body["display_name"]) > MOST_NAME - (key == "pipeline_version_id"):
            raise Refused(400, "Data too long for column 'Name'")
        self._clock += timedelta(seconds=1)
        identity = str(uuid.uuid4())
        where[identity] = {**body, key: identity, "created_at": self._clock.isoformat()}
        return where[identity]

    def _page(self, name: str, items: Mapping[str, Any], query: Mapping[str, str], keys: set[str]) -> dict[str, Any]:
        found = [each for each in items.values() if query.get("namespace", "") in ("", each.get("namespace", ""))]
        for predicate in json.loads(query.get("filter") or '{"predicates": []}')["predicates"]:
            if predicate["key"] not in keys or predicate["operation"] not in ("EQUALS", 1):
                raise Refused(400, f"cannot filter by {predicate}")
            found = [each for each in found if each.get(predicate["key"]) == predicate["stringValue"]]
        if query.get("sort_by") == "created_at desc":
            found.sort(key=lambda each: each["created_at"], reverse=True)
        begin = int(query.get("page_token") or 0)
        end = begin + min(PAGE, int(query["page_size"])) if query.get("page_size") else begin + PAGE
        return {name: found[begin:end], **({"next_page_token": str(end)} if end < len(found) else {})}

    def healthz(self, _: object) -> Any:
        return {"multi_user": self.multi_user}

    def list_experiments(self, query: dict[str, str]) -> Any:
        return self._page("experiments", self.experiments, query, {"display_name"})

    def create_experiment(self, _: object, body: Any) -> Any:
        check(body, "V2beta1Experiment")
        self._authorise(body.get("namespace"))
        return self._keep(self.experiments, "experiment_id", {"storage_state": "AVAILABLE", **body})

    def list_pipelines(self, query: dict[str, str]) -> Any:
        return self._page("pipelines", self.pipelines, query, {"display_name"})

    def create_pipeline(self, _: object, body: Any) -> Any:
        check(body, "V2beta1Pipeline")
        self._authorise(body.get("namespace"))
        if any(body["display_name"] == each["display_name"] for each in self.pipelines.values()):
            raise Refused(409, "The name exists")
        return self._keep(self.pipelines, "pipeline_id", body)

    def list_versions(self, query: dict[str, str], pipeline_id: str) -> Any:
        own = {key: each for key, each in self.versions.items() if each["pipeline_id"] == pipeline_id}
        return self._page("pipeline_versions", own, query, {"display_name"})

    def upload_version(self, query: dict[str, str], content: bytes) -> Any:
        if query["pipelineid"] not in self.pipelines:
            raise Refused(400, "Failed to create a pipeline version")
        if any(query["name"] == each["display_name"] for each in self.versions.values()):
            raise Refused(409, "Failed to create a pipeline version")
        spec = next(yaml.safe_load_all(content))
        json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
        body = {"pipeline_id": query["pipelineid"], "display_name": query["name"], "pipeline_spec": spec}
        return self._keep(self.versions, "pipeline_version_id", body)

    def _check_order(self, body: Mapping[str, Any]) -> None:
        if body["experiment_id"] not in self.experiments:
            raise Refused(404, f"Experiment {body['experiment_id']} not found")
        version = self.versions.get(body["pipeline_version_reference"]["pipeline_version_id"])
        if version is None or version["pipeline_id"] != body["pipeline_version_reference"]["pipeline_id"]:
            raise Refused(404, "Pipeline version not found")
        known = version["pipeline_spec"]["root"].get("inputDefinitions", {}).get("parameters", {})
        given = body["runtime_config"].get("parameters", {})
        if len(json.dumps(given)) > MOST_PARAMETERS:
            raise Refused(
                400, f"Invalid input error: The input parameter length exceed maximum size of {MOST_PARAMETERS}."
            )
        if set(given) - set(known) or {key for key in known if "defaultValue" not in known[key]} - set(given):
            raise Refused(400, f"Invalid input: parameters {given}")

    def create_run(self, _: object, body: Any) -> Any:
        check(body, "V2beta1Run")
        self._check_order(body)
        return self._keep(self.runs, "run_id", {**body, "state": "PENDING"})

    def get_run(self, _: object, run_id: str) -> Any:
        if run_id not in self.runs:
            raise Refused(404, f"Run {run_id} not found")
        state, tasks = self.progress.pop(0) if len(self.progress) > 1 else self.progress[0]
        begin, end = "2026-11-21T03:00:00Z", "2026-11-21T03:00:58Z"
        details = [
            {"task_id": task, "display_name": task, "state": each, "start_time": begin}
            | ({"end_time": end} if each in ("SUCCEEDED", "FAILED") else {})
            for task, each in tasks.items()
        ]
        self.runs[run_id] |= {"state": state, "run_details": {"task_details": details}}
        return self.runs[run_id]

    def list_runs(self, query: dict[str, str]) -> Any:
        own = {
            key: each
            for key, each in self.runs.items()
            if query.get("experiment_id", each["experiment_id"]) == each["experiment_id"]
        }
        return self._page("runs", own, query, {"display_name", "recurring_run_id", "state"})

    def list_recurring(self, query: dict[str, str]) -> Any:
        return self._page("recurringRuns", self.recurring, query, {"display_name"})

    def create_recurring(self, _: object, body: Any) -> Any:
        check(body, "V2beta1RecurringRun")
        self._check_order(body)
        if len(body["trigger"]["cron_schedule"]["cron"].split()) != 6:
            raise Refused(400, "Invalid input: cron")
        # int64 travels as text, as protobuf's JSON has it.
        kept = {**body, "max_concurrency": str(body["max_concurrency"]), "status": f"{body['mode']}D"}
        namespace = self.experiments[body["experiment_id"]].get("namespace", "")
        made = self._keep(self.recurring, "recurring_run_id", {**kept, "namespace": namespace})
        self._count()
        return made

    def switch_recurring(self, _: object, recurring_run_id: str, verb: str) -> Any:
        if recurring_run_id not in self.recurring:
            raise Refused(404, f"Recurring run {recurring_run_id} not found")
        self.recurring[recurring_run_id] |= {"mode": verb.upper(), "status": f"{verb.upper()}D"}
        self._count()
        return {}

    def delete_recurring(self, _: object, recurring_run_id: str) -> Any:
        del self.recurring[recurring_run_id]
        self.lost += [
            key
            for key, run in self.runs.items()
            if run.get("recurring_run_id") == recurring_run_id and run["state"] in ("PENDING", "RUNNING")
        ]
        self._count()
        return {}

    def _count(self) -> None:
        modes = [each["mode"] for each in self.recurring.values()]
        self.balance.append((len(modes), modes.count("ENABLE")))


API = "/apis/v2beta1"
ROUTES = (
    (f"GET {API}/healthz", "healthz", set()),
    (f"GET {API}/experiments", "list_experiments", LISTING),
    (f"POST {API}/experiments", "create_experiment", set()),
    (f"GET {API}/pipelines", "list_pipelines", LISTING),
    (f"POST {API}/pipelines", "create_pipeline", set()),
    (f"GET {API}/pipelines/([^/]+)/versions", "list_versions", LISTING),
    (f"POST {API}/pipelines/upload_version", "upload_version", {"name", "pipelineid", "description"}),
    (f"GET {API}/runs", "list_runs", LISTING | {"experiment_id"}),
    (f"POST {API}/runs", "create_run", {"experiment_id"}),
    (f"GET {API}/runs/([^/]+)", "get_run", set()),
    (f"GET {API}/recurringruns", "list_recurring", LISTING | {"experiment_id"}),
    (f"POST {API}/recurringruns", "create_recurring", set()),
    (f"POST {API}/recurringruns/([^/]+):(enable|disable)", "switch_recurring", set()),
    (f"DELETE {API}/recurringruns/([^/]+)", "delete_recurring", set()),
)


def _uploaded(content: bytes, kind: str) -> bytes:
    message = email.message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + content)
    (part,) = message.get_payload()
    assert part.get_param("name", header="content-disposition") == "uploadfile"
    return part.get_payload(decode=True)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    state: KfpServer

    def _handle(self) -> None:
        parts = urlsplit(self.path)
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = f"{self.command} {parts.path}"
        self.state.asked.append(asked)
        self.state.headers = self.headers
        fault = next((each for each in self.state.faults if each.strikes(asked)), None)
        if fault is None or fault.late:
            status, body = self._answer(parts.path, parse_qs(parts.query), content)
        if fault:
            time.sleep(fault.seconds)
            if fault.status is None:
                self.close_connection = True
                return
            self._send(fault.status, fault.body, fault.headers)
        else:
            self._send(status, body, {"Content-Type": "application/json"})

    do_GET = do_POST = do_DELETE = _handle

    def _answer(self, path: str, query: dict[str, list[str]], content: bytes) -> tuple[int, str]:
        if any(self.headers.get(name) != value for name, value in self.state.wanted.items()):
            return 200, LOGIN_PAGE[1]
        if self.state.token and self.headers.get("Authorization") != f"Bearer {self.state.token}":
            return 401, json.dumps({"code": 16, "message": "Unauthenticated"})
        try:
            flat = {key: values[0] for key, values in query.items()}
            kind = self.headers.get("Content-Type", "")
            return 200, json.dumps(self.state.answer(self.command, path, flat, content, kind))
        except Refused as refused:
            return refused.status, json.dumps({"code": 3, "message": str(refused)}) if str(
                refused
            ) else "404 page not found"

    def _send(self, status: int, body: str, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body.encode())), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        with contextlib.suppress(BrokenPipeError):  # who asked has stopped waiting
            self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextlib.contextmanager
def kfp_server(tls: ssl.SSLContext | None = None) -> Iterator[KfpServer]:
    """A server on a free port of this machine. It takes what a proxy is asked for as its own, too."""
    state = KfpServer()
    handler = type("Handler", (_Handler,), {"state": state})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        http.daemon_threads = True
        http.block_on_close = False
        if tls:
            http.socket = tls.wrap_socket(http.socket, server_side=True)
        state.url = f"http{'s' if tls else ''}://127.0.0.1:{http.server_port}"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield state
        finally:
            http.shutdown()
            thread.join()
