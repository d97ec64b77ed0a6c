"""What a YAML file may hold: checked on its nodes, in which an alias is the node that it names.

A file of 300 bytes can stand for 10^8 values, or for endlessly many: its values are counted before they are
written out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import yaml

from launcher.limits import DEPTH, TEXT, VALUES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_Fast: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C one is ten times as fast

SPECIAL: Final = "this is no file"
LARGE: Final = f"the file is larger than {TEXT >> 20} MiB"
CYCLE: Final = "this value contains itself"
DEEP: Final = f"there are more than {DEPTH} levels"
MANY: Final = f"with its aliases written out the file has more than {VALUES:,} keys and values"


class BoundsError(yaml.MarkedYAMLError):
    """A file is more than a configuration can hold."""


def check_file(path: Path) -> None:
    """Refuse what is no regular file, whose reading may never end, and what is too large.

    Raises:
        BoundsError: with the reason.
    """
    if path.exists() and not path.is_file():
        raise BoundsError(problem=SPECIAL)
    if path.is_file() and path.stat().st_size > TEXT:
        raise BoundsError(problem=LARGE)


def check_depth(text: str) -> None:
    """Refuse a text of too many levels: what composes its nodes calls itself for each of them.

    Raises:
        BoundsError: with the reason and its line.
        yaml.YAMLError: it is no YAML up to there.
    """
    depth = 0
    parser = _Fast(text)
    while parser.check_event():
        event = parser.get_event()
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEPTH:
            raise BoundsError(problem=DEEP, problem_mark=event.start_mark)


def check_nodes(root: Any) -> None:
    """Count the values below a node.

    Raises:
        BoundsError: with the reason and its line.
    """
    sizes: dict[int, int] = {}
    above: list[tuple[Any, Iterator[Any]]] = [(root, _children(root))]
    ids = {id(root)}
    while above:
        node, rest = above[-1]
        child = next(rest, None)
        if child is None:
            size = 1 + sum(sizes.get(id(each), 1) for each in _children(node))
            if size > VALUES:
                raise BoundsError(problem=MANY, problem_mark=node.start_mark)
            sizes[id(node)] = size
            above.pop()
            ids.discard(id(node))
        elif id(child) in ids:
            raise BoundsError(problem=CYCLE, problem_mark=child.start_mark)
        elif not isinstance(child, yaml.ScalarNode) and id(child) not in sizes:
            above.append((child, _children(child)))
            ids.add(id(child))


def load(text: str) -> Any:
    """Return what a YAML text holds.

    Raises:
        yaml.YAMLError: it is no YAML, or holds too much.
    """
    check_depth(text)
    reader = _Fast(text)
    try:
        root = reader.get_single_node()
        if root is None:
            return None
        check_nodes(root)
        return reader.construct_document(root)
    finally:
        reader.dispose()


def check_text(text: str) -> None:
    """Check a text that may be no YAML at all, which others tell better.

    Raises:
        BoundsError: with the reason and its line.
    """
    try:
        check_depth(text)
        check_nodes(yaml.compose(text, Loader=_Fast))  # pyright: ignore[reportUnknownMemberType]  # untyped there
    except BoundsError:
        raise
    except yaml.YAMLError:
        return


def _children(node: Any) -> Iterator[Any]:
    for item in node.value if isinstance(node, yaml.CollectionNode) else ():
        if isinstance(item, tuple):
            yield from item  # key and value
        else:
            yield item
