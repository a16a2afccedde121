"""Triggers from elsewhere: Alertmanager, and whoever can sign a request."""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from api.described import BODY, CONFLICT
from api.errors import ApiError
from api.requests import Report, host_of, moment
from api.roles import Caller, needs
from api.state import ApiState, State
from api.v1 import shapes
from api.v1.shapes import ROOT
from orchestrator.domain.access import Identity, Role
from orchestrator.domain.records import Severity
from orchestrator.domain.speech import printable
from orchestrator.errors import HealingError

router = APIRouter(prefix=f"{ROOT}/hooks", responses=BODY, tags=["ask"])

#: Alerts of one call that are looked at; Alertmanager groups them.
ALERTS_MAX = 100
#: Seconds by which the clock of who signs may differ, and for which a signature is remembered at least.
TOLERANCE = 300
#: Labels that name a host or a unit, the first that is there counts.
HOST_LABELS = ("host", "hostname", "nodename", "instance")
UNIT_LABELS = ("unit", "service", "systemd_unit", "name", "job")
#: Characters of a host's name: the longest that DNS has, and a port.
NAMED = 260
SEVERITIES = {"critical": Severity.CRITICAL, "page": Severity.CRITICAL, "warning": Severity.WARNING}
SIGNER = Identity(actor="api:webhook", role=Role.OPERATOR)
_SIGNATURE = re.compile(r"t=(\d{1,12}),v1=([0-9a-f]{64})", re.ASCII)


class Alert(BaseModel):
    """One alert; what is not named here is let through and not looked at."""

    status: Literal["firing", "resolved"]
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    startsAt: str = ""  # noqa: N815  # Alertmanager's own name


class Alerts(BaseModel):
    """The body of Alertmanager's webhook, version 4."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "version": "4",
                    "alerts": [
                        {
                            "status": "firing",
                            "labels": {"alertname": "UnitFailed", "instance": "web1:9100", "name": "nginx.service"},
                            "annotations": {"summary": "nginx.service: Failed with result 'signal'."},
                        }
                    ],
                }
            ]
        }
    )

    version: Literal["4"]
    alerts: list[Alert] = Field(max_length=ALERTS_MAX)


class Taken(BaseModel):
    """What became of one alert: an incident, or a sentence why there is none."""

    host: str
    incident: str | None
    refused: str


class TakenAlerts(BaseModel):
    """In the order of the alerts."""

    items: list[Taken]


@router.post("/alertmanager", dependencies=[needs(Role.OPERATOR)], status_code=HTTPStatus.ACCEPTED)
def alertmanager(alerts: Alerts, state: State, caller: Caller) -> TakenAlerts:
    """Each firing alert enters at detect. One that names no host of the inventory is refused, the others go on."""
    return TakenAlerts(items=[_taken(alert, state, caller) for alert in alerts.alerts])


def _taken(alert: Alert, state: ApiState, caller: Identity) -> Taken:
    named = printable(next((alert.labels[name] for name in HOST_LABELS if alert.labels.get(name)), "")[:NAMED])
    if alert.status == "resolved":
        return Taken(host=named, incident=None, refused="it is resolved; nothing was done")
    unit = next((alert.labels[name] for name in UNIT_LABELS if alert.labels.get(name)), "")
    said = alert.annotations.get("description") or alert.annotations.get("summary") or alert.labels.get("alertname", "")
    try:
        known = {one.name for one in state.fleet.hosts()}
        host = host_of(state.fleet, named if named in known else named.rpartition(":")[0] or named)
        report = Report(
            host=host,
            service=unit or "unknown",
            message=said[:8192],
            level=SEVERITIES.get(alert.labels.get("severity", "").lower(), Severity.ERROR).name,  # type: ignore[arg-type]  # read as a client's word
        )
        incident = _trigger(state, report, caller, host, _began(alert))
    except ValidationError as error:
        first = error.errors()[0]
        return Taken(host=named, incident=None, refused=f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
    except (ApiError, HealingError, ValueError) as error:
        return Taken(host=named, incident=None, refused=str(error))
    return Taken(host=host, incident=incident, refused="")


def _began(alert: Alert) -> datetime | None:
    """When it began; what lies in the future is now."""
    if not alert.startsAt:
        return None
    began: datetime = moment(alert.startsAt)
    return min(began, datetime.now(UTC))


def _trigger(state: ApiState, report: Report, caller: Identity, host: str, at: datetime | None) -> str:
    return state.trigger(
        host=host,
        service=report.service,
        message=report.message,
        level=report.level,
        timestamp=at,
        actor=caller.actor,
    )


@router.post(
    "/signed",
    status_code=HTTPStatus.ACCEPTED,
    responses=CONFLICT,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": Report.model_json_schema(mode="validation")}},
        }
    },
)
async def signed(
    request: Request,
    state: State,
    signature: Annotated[
        str, Header(alias="X-Healer-Signature", max_length=200, description="t=UNIX_SECONDS,v1=HEX_HMAC_SHA256")
    ] = "",
) -> shapes.Asked:
    """The body of POST /api/auto-healer/heal, signed instead of with a token: HMAC-SHA256 over `SECONDS.BODY` with the
    secret of webhook_secret_file. A signature is good for five minutes, once."""
    body = await request.body()
    seen = _require_signature(state.webhook_secret, signature, body)
    # From here on it is known who asks, and the guard records it.
    request.state.identity = SIGNER
    try:
        report = Report.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "body"
        raise ApiError(
            HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", f"{field}: {first['msg']}. Nothing was done.", field=field
        ) from error
    return await run_in_threadpool(_signed, state, report, seen)


def _signed(state: ApiState, report: Report, seen: str) -> shapes.Asked:
    host = host_of(state.fleet, report.host)
    stale = datetime.now(UTC) - timedelta(days=365)
    if not state.store.keyed(SIGNER.actor, seen, "", stale=stale).first:
        raise ApiError(HTTPStatus.CONFLICT, "replayed", "This very request was taken before. Nothing was done.")
    incident_id = _trigger(state, report, SIGNER, host, report.timestamp)
    found = state.store.incident(incident_id)
    return shapes.Asked(incident=shapes.incident(found) if found else None, link=f"{ROOT}/incidents/{incident_id}")


def _require_signature(secret: str, given: str, body: bytes) -> str:
    """The signature itself. Raises ApiError 401 for one that is not ours or too old, 403 where it is not enabled."""
    if not secret:
        raise ApiError(
            HTTPStatus.FORBIDDEN,
            "hooks_disabled",
            "Signed webhooks are switched off. Set webhook_secret_file in healer.toml, or use a token.",
        )
    shaped = _SIGNATURE.fullmatch(given)
    if shaped is not None and abs(time.time() - int(shaped[1])) <= TOLERANCE:
        wanted = hmac.new(secret.encode(), shaped[1].encode() + b"." + body, hashlib.sha256).hexdigest()
        if hmac.compare_digest(wanted, shaped[2]):
            return shaped[2]
    raise ApiError(
        HTTPStatus.UNAUTHORIZED,
        "signature",
        "X-Healer-Signature is missing, not ours, or older than five minutes. Nothing was done.",
    )
