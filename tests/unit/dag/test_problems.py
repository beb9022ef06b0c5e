"""How a finding reads: for people as a line of text, for programs as JSON."""

from workflows_app.dag.problems import Problem, ProblemCode, errors_of, warnings_of

WRONG = Problem(code=ProblemCode.INVALID_CONFIG, message="It is wrong.", node="rsi", field="retry.delay", line=12)
DOUBTFUL = Problem(code=ProblemCode.SCHEMA_MISMATCH, message="It is doubtful.", edge="a -> b")


def test_a_problem_reads_as_code_place_and_sentence():
    assert str(WRONG) == "INVALID_CONFIG line 12, node rsi, retry.delay: It is wrong."
    assert str(DOUBTFUL) == "SCHEMA_MISMATCH edge a -> b: It is doubtful."


def test_a_problem_without_a_place_is_one_of_the_document():
    problem = Problem(code=ProblemCode.NO_NODES, message="There are no nodes.")
    assert problem.where == "document"


def test_programs_get_every_part_and_null_for_what_is_not_known():
    assert WRONG.as_json() == {
        "code": "INVALID_CONFIG",
        "message": "It is wrong.",
        "node": "rsi",
        "edge": None,
        "field": "retry.delay",
        "line": 12,
    }


def test_errors_block_and_warnings_do_not():
    assert errors_of([WRONG, DOUBTFUL]) == [WRONG]
    assert warnings_of([WRONG, DOUBTFUL]) == [DOUBTFUL]
