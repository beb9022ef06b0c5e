"""Checks what the shape of a document cannot say: tools, agents, effects, schemas and the rules of edges."""

from collections.abc import Mapping
from typing import cast

from workflows_app.dag.agents import DESCRIBING, AgentInfo
from workflows_app.dag.findings import Findings
from workflows_app.dag.outline import EdgeOutline, NodeOutline, Outline
from workflows_app.dag.plan import effect_of_agent
from workflows_app.dag.problems import ProblemCode
from workflows_app.dag.schema_syntax import defect
from workflows_app.dag.types import Effect, JsonValue, NodeType, ToolInfo
from workflows_app.dag.wording import Path, listed, quoted, shortened

type Catalogue = Mapping[str, ToolInfo]
# The agents of the site by name; None: nobody knows them, and no name is looked up.
type Agents = Mapping[str, AgentInfo] | None

_EFFECTS = {str(word): word for word in Effect}


def check_configuration(outline: Outline, catalogue: Catalogue, agents: Agents, findings: Findings) -> None:
    """Report every node and edge that is well-formed but cannot be run as it is set up."""
    schema = outline.document.get("input_schema")
    if isinstance(schema, dict) and (phrase := defect(schema)) is not None:
        message = f"'input_schema' is no valid JSON Schema (2020-12): {phrase}. Correct it."
        findings.add(ProblemCode.INVALID_DOCUMENT, message, ("input_schema",))
    for node in outline.nodes:
        if node.type is NodeType.TOOL:
            _check_tool(node, catalogue, findings)
        elif node.type is NodeType.AGENT:
            _check_agent(node, catalogue, agents, findings)
    _check_edges(outline, findings)


def _check_tool(node: NodeOutline, catalogue: Catalogue, findings: Findings) -> None:
    _check_output_schema(node, findings)
    name = node.body.get("tool")
    if not isinstance(name, str) or not name:
        return
    _check_tool_name(name, (*node.path, "tool"), catalogue, findings)
    if (tool := catalogue.get(name)) is None:
        return
    own = effect = tool.effect_of(node.body.get("inputs"))
    word = node.body.get("effect")
    if isinstance(word, str) and word in _EFFECTS:
        effect = _EFFECTS[word]
        if not tool.effects:
            message = f"The tool {quoted(name)} decides about its effect, which is {own}: remove 'effect'."
            findings.add(ProblemCode.INVALID_CONFIG, message, (*node.path, "effect"))
        elif effect not in {own, tool.effect, *tool.effects}:
            allowed = listed(sorted({str(own), str(tool.effect), *map(str, tool.effects)}))
            message = f"The effect of the tool {quoted(name)} can be {allowed}, not {effect}."
            findings.add(ProblemCode.INVALID_CONFIG, message, (*node.path, "effect"))
    _check_retry(node, effect, findings)


def _check_tool_name(name: str, path: Path, catalogue: Catalogue, findings: Findings) -> None:
    tool = catalogue.get(name)
    if tool is None:
        hint = findings.spelling.hint(name, catalogue.keys()) or " Correct the name or register the tool."
        findings.add(ProblemCode.UNKNOWN_TOOL, f"There is no tool with the name {quoted(name)}.{hint}", path)
    elif tool.missing_kind:
        message = (
            f"The tool {quoted(name)} is made of {quoted(tool.missing_kind)}, which nothing registers any more: "
            "install the app that does, or use another tool."
        )
        findings.add(ProblemCode.UNKNOWN_TOOL, message, path)
    elif not tool.active:
        message = f"The tool {quoted(name)} is switched off: switch it on or use another one."
        findings.add(ProblemCode.INACTIVE_TOOL, message, path)


def _check_retry(node: NodeOutline, effect: Effect | None, findings: Findings) -> None:
    retry = node.body.get("retry")
    count = retry.get("max_retries") if isinstance(retry, dict) else None
    if effect is Effect.AT_MOST_ONCE and isinstance(count, int) and count > 0:
        message = (
            "The effect of this node is at_most_once: a timeout or a crash is never retried, but an error that it "
            "raises itself is. Set max_retries to 0 where a repetition would do harm."
        )
        findings.add(ProblemCode.RETRY_OF_AT_MOST_ONCE, message, (*node.path, "retry", "max_retries"))


def _check_agent(node: NodeOutline, catalogue: Catalogue, agents: Agents, findings: Findings) -> None:
    _check_output_schema(node, findings)
    name, agent = node.body.get("agent"), None
    if name is not None:
        agent = _check_named_agent(node, name, agents, findings)
    elif missing := [key for key in ("provider", "model") if node.body.get(key) is None]:
        message = (
            f"An agent node needs the name of an 'agent', or a 'provider' and a 'model': "
            f"{listed(map(quoted, missing), last='and')} {'is' if len(missing) == 1 else 'are'} missing."
        )
        findings.add(ProblemCode.INVALID_CONFIG, message, (*node.path, missing[0] if len(missing) == 1 else "agent"))
    own = _check_offered(node, catalogue, findings)
    if agent is not None:
        given = cast("list[str]", agent.gives.get("tools", []))
        own = effect_of_agent(catalogue[tool].effect_of(None) for tool in given if tool in catalogue)
    _check_effect_of_agent(node, own, findings)


def _check_offered(node: NodeOutline, catalogue: Catalogue, findings: Findings) -> Effect:
    """The effect that the node has by the tools of its model."""
    tools, seen = node.body.get("tools"), dict[str, Effect]()
    for position, name in enumerate(tools if isinstance(tools, list) else []):
        if not isinstance(name, str):
            continue
        path = (*node.path, "tools", position)
        _check_tool_name(name, path, catalogue, findings)
        if name in seen:
            findings.add(ProblemCode.INVALID_CONFIG, f"The tool {quoted(name)} is named twice: name it once.", path)
        elif (tool := catalogue.get(name)) is not None:
            # What its model will give to it is not known.
            seen[name] = tool.effect_of(None)
            if not seen[name].is_repeatable and node.body.get("allow_effects") is not True:
                message = (
                    f"The effect of the tool {quoted(name)} is {seen[name]}, and a model would decide when it happens: "
                    "say 'allow_effects: true' in the node where it may, or remove the tool."
                )
                findings.add(ProblemCode.INVALID_CONFIG, message, path)
    return effect_of_agent(seen.values())


def _check_effect_of_agent(node: NodeOutline, own: Effect, findings: Findings) -> None:
    word, effect = node.body.get("effect"), own
    if isinstance(word, str) and word in _EFFECTS:
        effect = _EFFECTS[word]
        if effect is Effect.CHECKABLE:
            message = "Nobody can be asked what became of an agent: its effect can be none, idempotent or at_most_once."
            findings.add(ProblemCode.INVALID_CONFIG, message, (*node.path, "effect"))
        elif effect_of_agent((effect, own)) is not effect:
            message = f"The effect of this node is {own} by its tools, which is more than {effect}: remove 'effect'."
            findings.add(ProblemCode.INVALID_CONFIG, message, (*node.path, "effect"))
    _check_retry(node, effect, findings)


def _check_named_agent(node: NodeOutline, name: JsonValue, agents: Agents, findings: Findings) -> AgentInfo | None:
    """The agent, where there is one."""
    path = (*node.path, "agent")
    if stated := [key for key in DESCRIBING if node.body.get(key) is not None]:
        described = listed(map(quoted, stated), last="and")
        message = f"'agent' names an agent of the site, and {described} would describe another one: keep either."
        findings.add(ProblemCode.INVALID_CONFIG, message, path)
    if agents is None or not isinstance(name, str) or not name:
        return None
    if (agent := agents.get(name)) is None:
        hint = findings.spelling.hint(name, [one for one, known in agents.items() if known.active])
        message = f"There is no agent with the name {quoted(name)}.{hint or ' Correct the name or make the agent.'}"
        findings.add(ProblemCode.INVALID_CONFIG, message, path)
    elif not agent.active:
        message = f"The agent {quoted(name)} is switched off: switch it on or name another one."
        findings.add(ProblemCode.INVALID_CONFIG, message, path)
    else:
        for mistake in agent.mistakes():
            findings.add(ProblemCode.INVALID_CONFIG, f"The agent {quoted(name)} cannot run. {mistake}", path)
    return agent


def _check_output_schema(node: NodeOutline, findings: Findings) -> None:
    schema = node.body.get("output_schema")
    if isinstance(schema, dict) and (phrase := defect(schema)) is not None:
        message = f"'output_schema' is no valid JSON Schema (2020-12): {phrase}. Correct it."
        findings.add(ProblemCode.INVALID_CONFIG, message, (*node.path, "output_schema"))


def _check_edges(outline: Outline, findings: Findings) -> None:
    defaults: dict[str, EdgeOutline] = {}
    leaving: set[str] = set()
    for edge in outline.edges:
        source = outline.by_key.get(edge.source)
        if not edge.is_error:
            leaving.add(edge.source)
        if source is None:
            continue
        if edge.is_error and source.type is NodeType.TRIGGER:
            message = f"{quoted(source.key)} is a trigger, which cannot fail: use the handle out, not error."
            findings.add(ProblemCode.INVALID_HANDLE, message, (*edge.path, "handle"))
        if edge.is_default:
            _check_default(edge, source, findings)
            if source.type is NodeType.CONDITION:
                first = defaults.setdefault(edge.source, edge)
                if first is not edge:
                    message = (
                        f"{quoted(edge.source)} has a default edge already, {shortened(str(first))}, and only one can "
                        "be taken: remove 'default' from one of them."
                    )
                    findings.add(ProblemCode.TWO_DEFAULTS, message, (*edge.path, "default"))
    for node in outline.by_key.values():
        if node.type is NodeType.CONDITION and node.key not in leaving:
            message = f"The condition {quoted(node.key)} leads nowhere: add an edge that it can take, or remove it."
            findings.add(ProblemCode.DEAD_END_CONDITION, message, node.path)


def _check_default(edge: EdgeOutline, source: NodeOutline, findings: Findings) -> None:
    path = (*edge.path, "default")
    if source.type is not None and source.type is not NodeType.CONDITION:
        message = (
            f"Only an edge that leaves a condition can be the default, and {quoted(source.key)} is of type "
            f"{source.type}: remove 'default'."
        )
        findings.add(ProblemCode.INVALID_CONFIG, message, path)
    if edge.condition is not None:
        message = "The default edge is taken where no condition is true: remove 'default' or its own 'condition'."
        findings.add(ProblemCode.INVALID_CONFIG, message, path)
    if edge.is_error:
        message = "The default edge leaves a node that completed: remove 'default' or the handle error."
        findings.add(ProblemCode.INVALID_CONFIG, message, path)
