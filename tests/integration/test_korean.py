"""What people read in the admin is Korean where Korean is asked for: every text of every page, also those of scripts.

All data of these tests is called `zz`-something: any other Latin word on a page is one that nobody translated.
"""

import asyncio
import re
from html.parser import HTMLParser

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.utils.translation import deactivate, override, trans_real

from executions_app.executor import WorkflowExecutor
from executions_app.models import ownership, querysets
from executions_app.services.cancel import cancel
from executions_app.services.errors import AlreadyFinished
from executions_app.services.start import StartRequest, start
from tests import bare_mcp
from tests.integration.admin import WORKFLOWS, page_of
from tests.integration.conftest import document
from tests.integration.staff import LIST, browser, staff, superuser
from workflows_app.dag import jsontext
from workflows_app.models import Agent, AuditEntry, ConfiguredTool, WorkflowShare
from workflows_app.models.access import Role
from workflows_app.services.errors import Forbidden
from workflows_app.templatetags.pastetrader import duration
from workflows_app.tools.registry import registry
from workflows_app.wording import REASON_WORDS

AGENTS = "/admin/workflows_app/agent/"
TOOLS = "/admin/workflows_app/configuredtool/"
pytestmark = pytest.mark.django_db(transaction=True)

# Names and words that Korean texts have, too; of data: types of JSON, ids, addresses, what a database is called.
KNOWN = frozenset(
    """PasteTrader Django API MCP YAML yaml yml JSON json MiB KB MB ID ms zip UTC Enter Shift Esc lease symbol AAPL
    SECRET_KEY SECRET_KEY_FALLBACKS input_schema list_executions crm
    number string integer boolean array null description debug info warning error tool version full
    SQLite PostgreSQL InMemoryChannelLayer none idempotent at_most_once checkable
    scripted default analyst max_requests""".split()
)
WORD = re.compile(r"[A-Za-z_]{2,}")
# What a test called something; an id or the end of one; a token or the beginning of one; a deed of the audit; the name
# of a registered tool, or of one in an example; an expression.
NAMED = re.compile(
    r"\b(?:core|crm|http|market|mcp|shell)\.\w+|\$\{\{.*?\}\}|\btool\.tried\b|\bagent\.\w+|"
    r"\bzz[\w.-]*|\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b[0-9a-f]{8}\b|\bpt_[\w-]+"
)
READ_ALOUD = ("title", "aria-label", "placeholder", "alt", "label", "data-on", "data-off", "data-one", "data-many")
# Code, and what the engine wrote into the journal when it happened.
DATA = frozenset({"script", "style", "code", "pre", "kbd", "textarea"})
JOURNAL = frozenset({"pt-message", "pt-level"})
EMPTY = frozenset("area base br col embed hr img input link meta source track wbr path rect circle use line".split())


class _Texts(HTMLParser):
    """All that a page tells people, apart from data."""

    def __init__(self):
        super().__init__()
        self.texts = []
        self._left_out = []
        self._words = False

    def handle_starttag(self, tag, attrs):
        self._words = tag == "script" and ("id", "pt-words") in attrs
        given = dict(attrs)
        is_data = tag in DATA or given.get("lang", "ko") != "ko" or JOURNAL & {*(given.get("class") or "").split()}
        if not any(self._left_out):
            self.texts += [given[name] for name in READ_ALOUD if given.get(name)]
            if tag == "input" and given.get("type") in {"submit", "button"}:
                self.texts.append(given.get("value") or "")
        if tag not in EMPTY:
            self._left_out.append(bool(is_data))

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in EMPTY:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        self._words = False
        if tag not in EMPTY and self._left_out:
            _ = self._left_out.pop()

    def handle_data(self, data):
        if self._words:
            groups = jsontext.loads(data)
            flat = [groups] if all(isinstance(word, str) for word in groups.values()) else groups.values()
            self.texts += [re.sub(r"%\(\w+\)s", "", word) for group in flat for word in group.values()]
        elif not any(self._left_out):
            self.texts.append(data)


def english_in(html):
    """Every text of a page with a Latin word that is no data, in one line each."""
    parser = _Texts()
    # What a template of Django's says in English by itself.
    parser.feed(html.replace('img/search.svg" alt="Search"', 'img/search.svg" alt=""'))
    texts = (" ".join(text.split()) for text in parser.texts)
    return [text for text in texts if set(WORD.findall(NAMED.sub("", text))) - KNOWN]


def korean(user):
    client = browser(user)
    client.defaults["HTTP_ACCEPT_LANGUAGE"] = "ko"
    return client


def read(client, address, **data):
    """A page, which must be Korean; with data, what comes of sending them."""
    response = client.post(address, data, follow=True) if data else client.get(address, follow=True)
    html = response.content.decode()
    assert '<html lang="ko"' in html, address
    assert (address, english_in(html)) == (address, [])
    return html


@pytest.fixture(autouse=True)
def _the_language_is_given_back():
    """The last request's stays that of its thread, which here is that of all tests."""
    yield
    deactivate()


@pytest.fixture
def root():
    return superuser("zzroot")


@pytest.fixture
def owner():
    return superuser("zzada")


@pytest.fixture
def flow(import_document):
    """It fails in one node, skips one, retries one; it has everything that a workflow may have."""
    return import_document(
        document(
            "zzt>zza", "zza>zzb", "zzt>zzc", "zzt>zzd",
            name="zz-flow",
            description="zzabout",
            labels=["zzlabel"],
            variables={"zzvar": 1},
            settings={"on_failure": "continue", "timeout_seconds": 60},
            input_schema={
                "properties": {
                    "zzn": {"type": "integer", "minimum": 1, "maximum": 9, "default": 3},
                    "zzs": {"type": "string", "minLength": 1, "maxLength": 9, "pattern": "z", "default": "zz"},
                    "zzx": {"exclusiveMinimum": 0, "exclusiveMaximum": 9, "multipleOf": 1, "default": 3},
                    "zzl": {"type": "array", "minItems": 0, "maxItems": 9},
                    "zzo": {"enum": ["zzone", "zztwo"]},
                    "zzb": {"type": "boolean"},
                }
            },
            zza={"tool": "core.fail", "inputs": {"message": "zzbroke"}, "name": "zzbreaks"},
            zzc={"type": "condition"},
            zzd={"type": "adapter", "output": 1},
        )
    )  # fmt: skip


def run(workflow, **given):
    return asyncio.run(WorkflowExecutor().execute(workflow.id, given)).execution_id


@pytest.fixture
def runs(flow, owner):
    """One failed, one cancelled, one that waits, one that an engine had and lost."""
    failed = run(flow)
    cancelled = start(StartRequest(target=flow, input={}, user=owner)).execution
    _ = cancel(cancelled.pk, owner, why="zzwhy")
    waits = start(StartRequest(target=flow, input={}, user=owner)).execution
    lost = start(StartRequest(target=flow, input={})).execution
    claim = ownership.claim(lost.pk, "zzengine", -60)
    yield {"failed": failed, "cancelled": cancelled.pk, "waits": waits.pk, "lost": lost.pk}
    querysets.fail_run(claim.execution_id, claim.fence, {"code": "x", "message": "x", "type": "x", "node": None})


def test_the_pages_of_the_site(root, flow, runs):
    client = korean(root)
    for address in (
        "/admin/", "/admin/workflows_app/", "/admin/executions_app/", "/admin/password_change/", f"{LIST}system/",
        f"{LIST}dashboard/",
    ):  # fmt: skip
        if address.endswith("dashboard/"):
            assert english_in(client.get(address).content.decode()) == []
        else:
            _ = read(client, address)
    assert "올바르지" in read(client, f"{LIST}system/", check="records")
    assert "체인이 온전합니다" in read(client, f"{LIST}system/", check="audit")
    anonymous = Client(headers={"accept-language": "ko-KR,ko;q=0.9,en;q=0.5"})
    assert "로그인" in read(anonymous, "/admin/login/")
    for address, status in (("/admin/nowhere/", 404), (f"{LIST}nothing/change/", 404)):
        refused = client.get(address, follow=True)
        assert (refused.status_code, english_in(refused.content.decode())) == (status, [])
    refused = korean(staff("zzeve")).get(WORKFLOWS)
    assert (refused.status_code, english_in(refused.content.decode())) == (403, [])


def test_the_pages_of_who_has_nothing_yet(settings):
    settings.PASTETRADER = {**settings.PASTETRADER, "DEMO": "demo"}
    client = korean(superuser("zzroot"))
    assert "데모 불러오기" in read(client, "/admin/")
    _ = read(client, WORKFLOWS)
    _ = read(client, LIST)
    looks = staff("zzbob", "view_workflow", "view_workflowexecution")
    for address in ("/admin/", WORKFLOWS, LIST):
        _ = read(korean(looks), address)
    _ = korean(superuser("zzcyd")).post("/admin/demo/")


def test_the_pages_of_workflows(root, flow, runs):
    client = korean(root)
    _ = WorkflowShare.objects.create(workflow=flow, group=Group.objects.create(name="zzgroup"), role=Role.OPERATOR)
    _ = Group.objects.create(name="zzother")
    _ = read(client, WORKFLOWS)
    _ = read(client, f"{WORKFLOWS}?label=zzlabel&active=yes&problems=no")
    for page in ("change", "nodes", "document", "versions", "history", "settings", "run", "delete"):
        _ = read(client, page_of(flow, page))
    _ = read(client, f"{page_of(flow, 'run')}?as=json")
    _ = read(client, f"{WORKFLOWS}import/")


def test_what_is_done_with_workflows(root, flow, runs):
    client = korean(root)
    asked = {"_selected_action": [flow.pk]}
    assert "1개를 시작했습니다" in read(client, WORKFLOWS, action="run_selected", **asked)
    assert "문제가 없습니다" in read(client, WORKFLOWS, action="validate_selected", **asked)
    assert "복제했습니다" in read(client, WORKFLOWS, action="duplicate_selected", **asked)
    settings = {"name": "zz-flow", "description": "zznew", "labels": "zzlabel", "is_active": "on"}
    assert "버전 2" in read(client, page_of(flow, "settings"), version=1, **settings)
    assert "다시 조회한 다음" in read(client, page_of(flow, "settings"), version=1, **settings)
    _ = read(client, page_of(flow, "versions"))
    _ = read(client, page_of(flow, "history"))
    assert "정수여야 합니다" in read(client, page_of(flow, "run"), **{"input-0": "zz"})
    assert "붙여 넣으십시오" in read(client, f"{WORKFLOWS}import/", text="")
    text = "name: zz-new\nnodes: [{key: zzt, type: trigger}]\nedges: []\n"
    assert "가져왔습니다" in read(client, f"{WORKFLOWS}import/", text=text)
    assert "삭제했습니다" in read(client, page_of(flow, "delete"), version=2)


def test_titles_of_problems_are_korean_and_their_sentences_as_the_validator_wrote_them(root, flow):
    text = "name: zz-flow\nnodes: [{key: zza, type: tool, tool: zz.zz}]\nedges: []\n"
    html = korean(root).post(page_of(flow, "document"), {"text": text, "check": "1"}).content.decode()
    assert "오류: 트리거 없음" in html
    assert "UNKNOWN_TOOL" in html


@pytest.fixture
def built_in_tools(monkeypatch):
    """Those that modules of tests register have names that are in no language."""
    own = {tool.name: tool for tool in registry if tool.function.__module__.startswith("workflows_app.")}
    monkeypatch.setattr(registry, "_tools", own)


def test_the_pages_of_tools(root, built_in_tools):
    client = korean(root)
    schema = {"properties": {"zzn": {"type": "integer", "description": "zzabout"}}, "required": ["zzn"]}
    fields = {"name": "zz.tool", "kind": "core.set", "configuration": "{}", "input_schema": jsontext.dumps(schema)}
    made = read(client, f"{TOOLS}add/", **fields, is_active="on")
    assert "여기서 만든 도구" in made
    _ = read(client, TOOLS)
    assert "이 말이 있는 도구가 없습니다" in read(client, f"{TOOLS}?q=zznothing")
    _ = read(client, f"{TOOLS}tool/core.set/")
    assert "결과를 돌려주었습니다" in read(client, f"{TOOLS}tool/zz.tool/", **{"input-0": 1})
    assert "호출하지 않았습니다" in read(client, f"{TOOLS}tool/zz.tool/", **{"input-0": "zz"})
    row = ConfiguredTool.objects.get()
    change = f"{TOOLS}{row.pk}/change/"
    _ = read(client, change)
    assert "다시 조회한 다음" in read(client, change, **fields, read_version=7)
    _ = read(client, change, **fields, read_version=1)
    _ = read(client, f"{TOOLS}{row.pk}/delete/")
    _ = read(client, f"{TOOLS}{row.pk}/delete/", post="yes")


def test_the_page_that_imports_tools_of_an_mcp_server(root, settings, tmp_path):
    client, page, listed = korean(root), f"{TOOLS}mcp/", tmp_path / "tools.json"
    assert "설정에 MCP 서버가 없습니다." in read(client, page)
    entry = bare_mcp.entry("text('')", str(listed))
    settings.PASTETRADER = {**settings.PASTETRADER, "MCP_SERVERS": {"zz": entry}}
    _ = read(client, page)
    tools = [
        {**bare_mcp.TOOL, "name": name, "description": "zz", "annotations": {"readOnlyHint": True}} for name in "ab"
    ]
    listed.write_text(jsontext.dumps(tools))
    assert "새 도구" in read(client, page, server="zz")
    assert "다시 확인하십시오" in read(client, page, server="zz", **{"import": "1", "tool": ["0 a"]})
    (mark,) = re.findall(r'value="(\w+) a"', read(client, page, server="zz"))
    assert "수행한 작업" in read(client, page, server="zz", **{"import": "1", "tool": [f"{mark} a"]})
    listed.write_text("[]")
    assert "사라짐" in read(client, page, server="zz")
    assert "거부됨" in read(client, page, server="zz", **{"import": "1", "tool": ["0 no"]})
    assert "아무 작업도 하지 않았습니다" in read(client, page, server="zz", **{"import": "1"})


def test_the_pages_of_agents(root, flow, built_in_tools, import_document):
    client = korean(root)
    assert "아직 에이전트가 없습니다" in read(client, AGENTS)
    schema = {"properties": {"zzn": {"type": "integer", "description": "zzabout"}}}
    fields = {"name": "zz.agent", "provider": "scripted", "model": "default", "is_active": "on"}
    _ = read(client, f"{AGENTS}add/")
    made = read(client, f"{AGENTS}add/", **fields, output_schema=jsontext.dumps(schema), tools=["core.set"])
    assert "만든 사람" in made
    _ = import_document(document("zzt>zza", zza={"type": "agent", "agent": "zz.agent"}, name="zz-asks"))
    assert "zz-asks" in read(client, f"{AGENTS}agent/zz.agent/")
    assert "볼 수 없는 워크플로 1개" in read(korean(staff("zzeve")), f"{AGENTS}agent/zz.agent/")
    assert "에이전트가 없습니다" in read(client, f"{AGENTS}?q=zznothing")
    change = f"{AGENTS}{Agent.objects.get().pk}/change/"
    _ = read(client, change)
    assert "다시 조회한 다음" in read(client, change, **fields, read_version=7)
    _ = read(client, change, **fields, allow_effects="on", tools=["core.set"], read_version=1)
    registry._tools.pop("core.set")
    assert "이대로는 실행할 수 없습니다" in read(client, f"{AGENTS}agent/zz.agent/")
    _ = read(client, change.replace("change", "delete"), post="yes")


def test_the_pages_of_executions(root, flow, runs):
    client = korean(root)
    for query in ("", "?status=failed&since=7d&mine=1&label=zz", "?since=zz&status=zz", "?status=cancelled"):
        _ = read(client, f"{LIST}{query}")
    for execution in runs.values():
        _ = read(client, f"{LIST}{execution}/change/")


def test_what_is_done_with_executions(root, flow, runs):
    client = korean(root)
    chosen = {"_selected_action": list(runs.values())}
    for action in ("cancel_selected", "rerun_from_start", "rerun_from_failure"):
        _ = read(client, LIST, action=action, **chosen)
    ended = {"_selected_action": [runs["failed"], runs["cancelled"]], "confirmed": "yes"}
    assert "이미 종료되었습니다" in read(client, LIST, action="cancel_selected", **ended)
    assert "다시 실행합니다" in read(client, LIST, action="rerun_from_start", **ended)
    assert "취소했습니다" in read(client, f"{LIST}{runs['waits']}/change/cancel/", why="zzwhy")
    assert "이미 종료된 실행입니다" in read(client, f"{LIST}{runs['failed']}/change/cancel/", why="zzwhy")


def test_the_pages_of_tokens_and_of_the_audit(root, flow):
    client = korean(root)
    tokens = "/admin/workflows_app/apitoken/"
    _ = read(client, f"{tokens}add/")
    made = client.post(
        f"{tokens}add/", {"user": root.pk, "name": "zzci", "scopes": ["read", "run", "write"], "days": "7"}, follow=True
    ).content.decode()
    assert english_in(made) == []
    assert "다시 표시할 수 없으므로" in made
    token = root.api_tokens.get()
    _ = read(client, f"{tokens}{token.pk}/change/")
    revoked = client.post(tokens, {"action": "revoke_selected", "_selected_action": [token.pk]}, follow=True)
    assert english_in(revoked.content.decode()) == []
    audit = "/admin/workflows_app/auditentry/"
    deeds = {
        "workflow": "workflow.created workflow.deleted workflow.node_added",
        "workflowexecution": "execution.started execution.rerun execution.cancel_requested",
        "apitoken": "token.created token.revoked",
        "credential": "secret.set secret.read secret.deleted",
        "user": "login login.failed logout",
        "tool": "tool.tried",
        "agent": "agent.created agent.changed agent.deleted",
    }
    for kind, verbs in deeds.items():
        for verb in verbs.split():
            AuditEntry.objects.create(actor_name="zzada", verb=verb, object_type=kind, object_id="1")
    html = read(client, audit)
    assert "로그인 실패" in html
    _ = read(client, f"{audit}{AuditEntry.objects.first().pk}/change/")


def test_the_pages_of_secrets(root, flow):
    client = korean(root)
    secrets = "/admin/workflows_app/credential/"
    _ = read(client, f"{secrets}add/")
    fields = {"owner": root.pk, "name": "zzkey", "description": "zzwhat", "value": "zzvalue"}
    assert "값이 8자보다 짧거나" in read(client, f"{secrets}add/", **fields)
    _ = read(client, f"{secrets}add/", **fields | {"value": "zzvalue-of-eight"})
    _ = read(client, secrets)
    credential = root.credentials.get()
    for page in ("change", "delete"):
        _ = read(client, f"{secrets}{credential.pk}/{page}/")


def test_refusals_are_in_the_language_of_whoever_asks(root, flow):
    with override("ko"):
        assert str(Forbidden("delete")) == "현재 역할로는 삭제할 수 없습니다. 소유자에게 필요한 역할을 요청하십시오."
        assert "상태: 완료" in str(AlreadyFinished("zz", "completed"))
    assert str(Forbidden("delete")) == "Your role does not allow to delete this: ask its owner for a role that does."
    looks = staff("zzeve", "view_workflow", "change_workflow", shared=flow)
    assert "현재 역할로는" in read(korean(looks), page_of(flow, "settings"))


def test_durations_and_reasons_are_korean():
    with override("ko"):
        assert [duration(ms) for ms in (None, 41, 2300, 64_000, 7_500_000)] == [
            "", "41 ms", "2.3초", "1분 04초", "2시간 05분",
        ]  # fmt: skip
        assert [word for word in map(str, REASON_WORDS.values()) if WORD.search(word)] == []


def test_who_asks_for_no_language_reads_english(root, flow, runs):
    client = browser(root)
    for address in ("/admin/", WORKFLOWS, LIST, page_of(flow)):
        html = client.get(address).content.decode()
        assert '<html lang="en"' in html
        assert re.search("[가-힣]", html.replace("한국어", "")) is None


def test_a_text_without_a_translation_is_found(root, flow, monkeypatch):
    address = page_of(flow, "versions")
    assert english_in(korean(root).get(address).content.decode()) == []
    for catalogue in trans_real.translation("ko")._catalog._catalogs:
        monkeypatch.delitem(catalogue, "Compare", raising=False)
    assert english_in(korean(root).get(address).content.decode()) == ["Compare"]


@pytest.mark.parametrize(
    "html",
    [
        "<p>Planted words</p>",
        '<button aria-label="Planted"></button>',
        '<input type="submit" value="Planted">',
        '<svg><title>Planted</title><path d="M0 0"/></svg>',
        '<script id="pt-words" type="application/json">{"page": {"a": "Planted %(name)s"}}</script>',
        '<br><code>run</code> Planted <img src="x">',
    ],
)
def test_a_planted_text_is_found(html):
    assert [text for text in english_in(html) if "Planted" in text] != []


def test_data_is_no_finding():
    assert english_in('<p>zz-flow <code>run</code> <span class="pt-message">Node x failed.</span> 실행</p>') == []
