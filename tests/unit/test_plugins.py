"""Tools and processors of distributions that are installed for a test."""

import sys
from dataclasses import replace

import pytest

from tests.unit.distributions import install
from workflows_app import plugins
from workflows_app.dag.plan import NodePlan
from workflows_app.dag.types import NodeKey, NodeType
from workflows_app.processors import registry as processors
from workflows_app.processors.base import NodeCall
from workflows_app.processors.errors import NodeConfigurationError
from workflows_app.processors.registry import PROCESSORS
from workflows_app.tools import ToolContext
from workflows_app.tools.registry import registry

QUOTES = """
    from workflows_app.tools import tool

    @tool("quotes.last", effect="none")
    async def last(symbol: str) -> str:
        return symbol.lower()
"""
ECHO = """
    from workflows_app.processors.base import Prepared, Unchecked

    class Echo(Unchecked):
        def pre_process(self, call):
            return Prepared(input={"asked": call.node.prompt})

        async def process(self, call, prepared):
            return {"echo": prepared.input["asked"]}
"""


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of the path where distributions are installed; modules of it are forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    kept, known = dict(PROCESSORS), set(sys.modules)
    with registry.scoped():
        yield tmp_path
    for kind, processor in kept.items():
        processors.replace(kind, processor)
    for name in set(sys.modules) - known:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]
    plugins.problems.clear()


def told():
    return [(problem.group, problem.sentence) for problem in plugins.problems]


def agent_call():
    return NodeCall(
        node=NodePlan(key=NodeKey("a"), type=NodeType.AGENT, model="m", prompt="hello"),
        attempt=None, scope=None, execution_input=dict, merged_input=dict, contributions=list, started_at=None,
    )  # fmt: skip


async def test_the_tools_of_a_distribution_are_registered(site):
    install(site, "quotes", entry_points="[pastetrader.tools]\nquotes = quotes_tools", quotes_tools=QUOTES)
    plugins.load()
    assert told() == []
    context = ToolContext(
        execution_id="e", node="n", attempt_id="a", idempotency_key="k", number=1, deadline=0, journal=print
    )
    assert await registry.get("quotes.last").call({"symbol": "AAPL"}, context) == "aapl"


async def test_a_processor_of_a_distribution_takes_the_place_of_its_type(site):
    install(site, "echo-agent", entry_points="[pastetrader.processors]\nagent = echo_agent:Echo", echo_agent=ECHO)
    plugins.load()
    assert told() == []
    call = agent_call()
    assert await PROCESSORS[NodeType.AGENT].process(call, PROCESSORS[NodeType.AGENT].pre_process(call)) == {
        "echo": "hello"
    }


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (QUOTES + "    raise KeyError('left')", "loading it failed with KeyError: 'left'."),
        (QUOTES + "    import nowhere_to_be_found", "loading it failed with ModuleNotFoundError: No module named"),
        (QUOTES + "    import sys; sys.exit(3)", "loading it failed with SystemExit: 3."),
        (QUOTES.replace("quotes.last", "core.set"), "loading it failed with DuplicateTool: The tool 'core.set' is"),
        ("def broken(:", "loading it failed with SyntaxError:"),
    ],
)
def test_broken_tools_are_missing_whole_and_the_sentence_names_the_distribution(site, text, reason):
    before = {tool.name: tool.origin for tool in registry}
    install(site, "quotes", version="2.3", entry_points="[pastetrader.tools]\nq = broken_tools", broken_tools=text)
    install(site, "fine", entry_points="[pastetrader.tools]\nz = fine_tools", fine_tools=QUOTES.replace("quotes", "z"))
    plugins.load()
    ((group, sentence),) = told()
    assert group == "pastetrader.tools"
    assert sentence.startswith(f"The tools of quotes 2.3 (q = broken_tools) are missing: {reason}")
    assert {tool.name: tool.origin for tool in registry if tool.name != "z.last"} == before
    assert "z.last" in registry


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("echo_agent:Nothing", "is missing: loading it failed with AttributeError"),
        ("nowhere_to_be_found:Echo", "is missing: loading it failed with ModuleNotFoundError"),
        ("echo_agent:function", "is no class of processors: name one with the methods `pre_process`"),
        ("echo_agent", "is no class of processors"),
        ("os:system", "is no class of processors"),
        ("echo_agent:Plain", "is no class of processors"),
        ("echo_agent:Wants", "is missing: loading it failed with TypeError"),
    ],
)
async def test_what_is_no_processor_is_a_sentence_and_its_nodes_are_refused(site, value, reason):
    text = ECHO + (
        "    def function(): pass\n"
        "    class Plain(Echo):\n        def process(self, call, prepared): return 1\n"
        "    class Wants(Echo):\n        def __init__(self, what): pass\n"
    )
    install(site, "echo", entry_points=f"[pastetrader.processors]\nagent = {value}", echo_agent=text)
    plugins.load()
    ((group, sentence),) = told()
    assert group == "pastetrader.processors"
    assert sentence.startswith(f"The processor of echo 1.0 (agent = {value}) {reason}")
    with pytest.raises(NodeConfigurationError, match=r"Nodes of type 'agent' cannot run: The processor of echo 1\.0"):
        PROCESSORS[NodeType.AGENT].pre_process(agent_call())


def test_a_type_that_no_node_has_is_a_sentence_that_lists_them(site):
    install(site, "echo", entry_points="[pastetrader.processors]\nloop = echo_agent:Echo", echo_agent=ECHO)
    before = dict(PROCESSORS)
    plugins.load()
    ((_, sentence),) = told()
    assert sentence.startswith("The processor of echo 1.0 (loop = echo_agent:Echo) is for no type of nodes: call its")
    assert "'trigger', 'tool', 'agent', 'condition', 'adapter' or 'aggregator'" in sentence
    assert dict(PROCESSORS) == before


def test_of_two_processors_for_one_type_none_is_chosen(site):
    for name in ("one", "two"):
        install(site, name, entry_points="[pastetrader.processors]\nagent = echo_agent:Echo", echo_agent=ECHO)
    plugins.load()
    ((_, sentence),) = told()
    assert sentence == (
        "'agent' nodes have more than one processor, one 1.0 (agent = echo_agent:Echo) and "
        "two 1.0 (agent = echo_agent:Echo): uninstall all but one."
    )
    with pytest.raises(NodeConfigurationError, match="more than one processor, one 1"):
        PROCESSORS[NodeType.AGENT].pre_process(replace(agent_call()))
