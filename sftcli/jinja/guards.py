"""Guards set into a parsed template where Jinja's code does work that no call of ours would see.

A loop, a comparison, a look-up and a slice become Python's own, and each may take any time: a list
that holds another one twice, sixty times over, is compared for longer than anyone waits.
"""

from jinja2 import nodes

LOOP, COMPARED, SEARCHED, CUT = "sftcli_loop", "sftcli_compared", "sftcli_searched", "sftcli_cut"
GUARDS = frozenset((COMPARED, SEARCHED, CUT))

_CHEAP = (nodes.Const, nodes.Compare, nodes.Test, nodes.Not, nodes.Neg, nodes.TemplateData)


def set_guards(tree: nodes.Template) -> None:
    """Change the tree so that each of these goes through a filter of the budget."""
    for loop in tree.find_all(nodes.For):
        loop.iter = _through(LOOP, loop.iter)
    for comparison in list(tree.find_all(nodes.Compare)):
        _guard_comparison(comparison)
    for item in list(tree.find_all(nodes.Getitem)):
        if isinstance(item.arg, nodes.Slice):
            item.node = _through(CUT, item.node)
        elif not _is_cheap(item.arg):
            item.arg = _through(COMPARED, item.arg)
    for pair in list(tree.find_all(nodes.Pair)):
        if not _is_cheap(pair.key):
            pair.key = _through(COMPARED, pair.key)


def _guard_comparison(comparison: nodes.Compare) -> None:
    """Of two values that are compared, the smaller one bounds the work: to look at one is enough."""
    left = comparison.expr
    searches = any(operand.op in ("in", "notin") for operand in comparison.ops)
    if not _is_cheap(left) and (searches or not _is_cheap(comparison.ops[0].expr)):
        comparison.expr = _through(COMPARED, left)
    for index, operand in enumerate(comparison.ops):
        if operand.op in ("in", "notin"):
            if not _is_cheap(operand.expr):
                operand.expr = _through(SEARCHED, operand.expr)
        elif index and not _is_cheap(operand.expr):
            operand.expr = _through(COMPARED, operand.expr)


def _is_cheap(node: nodes.Expr) -> bool:
    """Whether its value is no larger than the template's own text of it."""
    if isinstance(node, (nodes.List, nodes.Tuple)):
        return all(_is_cheap(item) for item in node.items)
    return isinstance(node, _CHEAP)


def _through(name: str, node: nodes.Node) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)
